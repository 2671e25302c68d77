import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import mongoose from 'mongoose';

export interface MongoLine {
  /** Host and port that leads to the server. */
  readonly address: string;
  /** Breaks every connection that there is. */
  cut(): void;
  close(): Promise<void>;
}

interface MongoLineOptions {
  /** Where the server is now. */
  target(): { host: string; port: number };
  /**
   * Passes the commands of all clients one after the other. FerretDB on SQLite carries out an update in two steps, and
   * keeps only so what MongoDB promises about the update of one document.
   */
  oneAtATime?: boolean;
  onCommand?(command: Record<string, unknown>): void;
}

const OP_MSG = 2013;
/** Flag of a message that asks for no answer. */
const MORE_TO_COME = 2;
const isCommand = (message: Buffer): boolean => message.readInt32LE(12) === OP_MSG;
const isUnanswered = (message: Buffer): boolean => isCommand(message) && (message.readUInt32LE(16) & MORE_TO_COME) !== 0;

/** A TCP proxy to a MongoDB server. */
export async function openMongoLine({ target, oneAtATime = false, onCommand }: MongoLineOptions): Promise<MongoLine> {
  const sockets = new Set<Socket>();
  const turns = new Turns();
  const server = createServer((client) => {
    const upstream = connect(target());
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    if (onCommand) onMessage(client, (message) => isCommand(message) && onCommand(bodyOf(message)));
    if (oneAtATime) passInTurn(client, upstream, turns);
    else client.pipe(upstream).pipe(client);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The first section of a message: after header, flags and the section's kind. */
const bodyOf = (message: Buffer): Record<string, unknown> =>
  mongoose.mongo.BSON.deserialize(message.subarray(21, 21 + message.readInt32LE(21)));

/** Whose turn it is; a turn ends when its promise settles. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take(turn: () => Promise<unknown>): void {
    this.#last = this.#last.then(turn);
  }
}

function passInTurn(client: Socket, upstream: Socket, turns: Turns): void {
  let answered: () => void = () => undefined;
  upstream.on('close', () => answered());
  onMessage(client, (message) => {
    turns.take(() => {
      if (upstream.destroyed) return Promise.resolve();
      const answer = new Promise<void>((resolve) => {
        answered = resolve;
      });
      upstream.write(message);
      return isUnanswered(message) ? Promise.resolve() : answer;
    });
  });
  onMessage(upstream, (message) => {
    client.write(message);
    answered();
  });
}

/** Cuts a stream into messages: each begins with its length. */
function onMessage(socket: Socket, take: (message: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
      const length = rest.readInt32LE(0);
      take(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  });
}
