import mongoose, { type Connection, type ConnectOptions, type Model } from 'mongoose';
import { isDuplicateKey, toError, unavailable } from './failure.ts';
import { type Models, modelsOn } from './schema.ts';

/** Milliseconds until a caller is told that the database is away, whatever the driver still waits for. */
const ANSWER_MS = 5000;

/** For each operation: milliseconds after which the server itself gives up. */
export const LIMITED = { maxTimeMS: 4000 } as const;

/**
 * These go before what the address says: promises rest on them. A write counts when a majority has it in its journal; a
 * read sees nothing that could still be rolled back. (A server that is no replica set is a majority of its own.)
 */
const OPTIONS = {
  w: 'majority',
  journal: true,
  wtimeoutMS: 4000,
  readConcernLevel: 'majority',
  readPreference: 'primary',
  serverSelectionTimeoutMS: 3000,
  connectTimeoutMS: 3000,
  waitQueueTimeoutMS: 3000,
  socketTimeoutMS: 4500,
  ignoreUndefined: true,
  bufferCommands: false,
  heartbeatFrequencyMS: 1000,
  // Longer than that: the driver never looks at a server as soon as an operation fails, but by its timer only. At once, it
  // may write to a connection that was closed an instant ago, and then waits for that for ever (mongodb 7: `writeCommand`
  // waits for the `drain` of a destroyed socket); every operation is told from then on that the server is away. MongoDB
  // itself is spared, because the driver begins a new watch there; what only speaks its protocol is not.
  minHeartbeatFrequencyMS: 1500,
  autoIndex: false,
  autoCreate: false,
} as const satisfies ConnectOptions;

const UNREADABLE = 'The address of the database cannot be read; signs in its password may have to be percent-encoded.';

interface MongoOptions {
  /** With the name of the database in it. */
  uri: string;
}

/** Connects. Throws `repository_unavailable`, within seconds, when nobody answers there or lets us in. */
export async function openMongo({ uri }: MongoOptions): Promise<MongoDatabase> {
  // An @ in the password that is not written as %40: what follows would pass for the host, and be told.
  if ((uri.split('?')[0]?.split('@').length ?? 0) > 2) throw unavailable(UNREADABLE);
  const connection = mongoose.createConnection();
  try {
    await inTime(connection.openUri(uri, { ...OPTIONS }));
    return new MongoDatabase(connection);
  } catch (error) {
    const hosts = hostsOf(connection);
    await connection.destroy(true);
    // The driver quotes an address that it cannot read, with the password: no cause then.
    if (hosts === null) throw unavailable(UNREADABLE);
    throw unavailable(`The database at ${hosts} cannot be used: ${(error as Error).message}`, error);
  }
}

/** Null when the address could not be read. */
function hostsOf(connection: Connection): string | null {
  const options = (connection.getClient() as mongoose.mongo.MongoClient | undefined)?.options;
  if (!options) return null;
  return options.srvHost ?? options.hosts.join(', ');
}

/**
 * A connection of its own to MongoDB, or to what speaks its protocol; the driver below finds the primary again after an
 * outage. The repositories are built on it.
 */
export class MongoDatabase {
  readonly models: Models;
  readonly #connection: Connection;
  #closed = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.models = modelsOn(connection);
  }

  /**
   * What `operation` answers. Throws `repository_unavailable` when that takes longer than `answerMs` or the server cannot
   * do it now; a write may then have happened, or happen yet.
   */
  async run<T>(operation: (models: Models) => PromiseLike<T>, answerMs = ANSWER_MS): Promise<T> {
    if (this.#closed) throw unavailable('The database is closed.');
    try {
      return await inTime(operation(this.models), answerMs);
    } catch (error) {
      throw toError(error);
    }
  }

  /** False when there is a document with this id; otherwise as `run`. */
  async insert<D extends { _id: string }>(model: Model<D>, document: D): Promise<boolean> {
    try {
      await this.run(() => model.collection.insertOne(document as Record<string, unknown>, LIMITED));
      return true;
    } catch (error) {
      if (isDuplicateKey(error)) return false;
      throw error;
    }
  }

  /** A round trip to the primary; throws `repository_unavailable`. */
  async ping(): Promise<void> {
    await this.run(() => this.#connection.getClient().db().command({ ping: 1 }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#connection.destroy();
  }
}

async function inTime<T>(answer: PromiseLike<T>, answerMs = ANSWER_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(unavailable('The database did not answer in time.')), answerMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
