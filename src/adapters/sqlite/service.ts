import { type NamedCall, type Reply, refuse } from '../background/messages.ts';
import { type Call, carryOut, commit } from './batch.ts';
import { Connection, type DatabaseFile } from './connection.ts';
import type { Argument, Operation } from './operation.ts';
import { OPERATIONS } from './operations.ts';

/** The thread's end of a database: carries out calls, with one commit for all writes among them. */
export class SqliteService {
  readonly #options: DatabaseFile;
  #connection: Connection | null = null;

  constructor(options: DatabaseFile) {
    this.#options = options;
  }

  /** A file that cannot be opened fails these calls; the next ones try again. */
  *carryOut(named: readonly NamedCall[]): Generator<Reply> {
    const calls = named.map(({ id, name, args }): Call => ({ id, operation: operationOf(name), args: args as Argument[] }));
    let connection: Connection;
    try {
      connection = this.#open();
    } catch (error) {
      yield refuse(calls, error);
      return;
    }
    const reads = calls.filter(({ operation }) => !operation.writes);
    const writes = calls.filter(({ operation }) => operation.writes);
    // Nobody has been told of the writes yet, so reads need not wait for them.
    if (reads.length > 0) yield carryOut(connection, reads);
    if (writes.length > 0) yield commit(connection, writes);
  }

  close(): void {
    this.#connection?.close();
  }

  #open(): Connection {
    this.#connection ??= new Connection(this.#options.file, this.#options);
    return this.#connection;
  }
}

const operationOf = (name: string): Operation => OPERATIONS[name as keyof typeof OPERATIONS] as unknown as Operation;
