import mongoose from 'mongoose';
import { type MongoDatabase, openMongo } from '../../src/adapters/records/mongo/database.ts';
import { MongoIndexes } from '../../src/adapters/records/mongo/indexes.ts';
import { type MongoLine, openMongoLine } from './mongo-line.ts';

export interface OpenedMongo {
  readonly database: MongoDatabase;
  /** Closes the database and opens the same one again. */
  reopen(): Promise<MongoDatabase>;
  /** Another connection, as another process would have; closed along with the first. */
  another(): Promise<MongoDatabase>;
  close(): Promise<void>;
}

/** A database of its own, with indexes; each `open` finds it empty. */
export interface MongoUnderTest {
  readonly uri: string;
  open(): Promise<OpenedMongo>;
  /** Drops the database. */
  close(): Promise<void>;
}

export const uriOf = (address: string, name: string): string => `mongodb://${address}/${name}`;

/** The server of the shared suites, by way of a line that makes up for what FerretDB lacks. */
export async function mongoUnderTest(serverUri: string, name: string): Promise<MongoUnderTest> {
  const client = await mongoose.createConnection(serverUri, { dbName: name }).asPromise();
  const line = await lineFor(serverUri, client);
  const uri = line ? uriOf(line.address, name) : withDatabase(serverUri, name);
  const first = await openMongo({ uri });
  await new MongoIndexes(first).provision();
  await first.close();
  return {
    uri,
    async open() {
      for (const { name: collection } of await client.listCollections()) await client.collection(collection).deleteMany({});
      return openedMongo(uri);
    },
    async close() {
      await client.dropDatabase();
      await client.destroy();
      await line?.close();
    },
  };
}

async function openedMongo(uri: string): Promise<OpenedMongo> {
  let database = await openMongo({ uri });
  const others: MongoDatabase[] = [];
  return {
    get database() {
      return database;
    },
    async reopen() {
      await database.close();
      database = await openMongo({ uri });
      return database;
    },
    async another() {
      const other = await openMongo({ uri });
      others.push(other);
      return other;
    },
    close: async () => void (await Promise.all([database, ...others].map((each) => each.close()))),
  };
}

/** A line for a server that is FerretDB, null for MongoDB itself. */
async function lineFor(serverUri: string, client: mongoose.Connection): Promise<MongoLine | null> {
  const build = await client.db?.admin().command({ buildInfo: 1 });
  if (build?.ferretdbVersion === undefined) return null;
  const { hostname: host, port } = new URL(serverUri);
  return openMongoLine({ target: () => ({ host, port: Number(port) }), oneAtATime: true });
}

function withDatabase(serverUri: string, name: string): string {
  const uri = new URL(serverUri);
  uri.pathname = `/${name}`;
  return uri.href;
}
