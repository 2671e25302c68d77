import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ConnectionOptions } from './connection.ts';
import { toError, unavailable } from './failure.ts';
import { emptyRequest, type Reply, type Request } from './messages.ts';
import type { Argument } from './operation.ts';
import type { ArgumentsOf, OperationName, ResultOf } from './operations.ts';

interface Caller {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** Opens the file (and makes its folder) and brings its tables up to date. Throws `repository_unavailable`. */
export async function openDatabase(file: string, options: ConnectionOptions = {}): Promise<Database> {
  await mkdir(dirname(file), { recursive: true });
  const database = new Database(file, options);
  try {
    await database.call('ping');
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * The main thread's end of a SQLite database, which lives in a thread of its own because SQLite is synchronous. Calls of
 * one turn of the event loop travel together, and the thread commits whatever has reached it in one transaction: the
 * more there is to do, the cheaper each write gets. A thread that dies is started again by the next call.
 */
export class Database {
  readonly #file: string;
  readonly #options: ConnectionOptions;
  readonly #callers = new Map<number, Caller>();
  #outgoing = emptyRequest();
  #worker: Worker | null = null;
  #lastId = 0;
  #closing: Promise<void> | null = null;

  constructor(file: string, options: ConnectionOptions = {}) {
    this.#file = file;
    this.#options = options;
  }

  /**
   * A write is on the disk when the promise resolves. Rejects with `repository_unavailable` when the database is busy,
   * cannot be read or written, or is closed; a write may have happened all the same.
   */
  call<N extends OperationName>(name: N, ...args: ArgumentsOf<N>): Promise<ResultOf<N>> {
    if (this.#closing) return Promise.reject(unavailable('it is closed'));
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      this.#callers.set(this.#lastId, { resolve: resolve as Caller['resolve'], reject });
      if (this.#outgoing.ids.length === 0) setImmediate(() => this.#send());
      this.#outgoing.ids.push(this.#lastId);
      this.#outgoing.names.push(name);
      this.#outgoing.args.push(args as Argument[]);
    });
  }

  /** Finishes what was called before, then closes the file. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!this.#worker && this.#outgoing.ids.length === 0) return;
    const worker = this.#running();
    this.#outgoing.close = true;
    this.#send();
    await new Promise((resolve) => worker.once('exit', resolve));
  }

  #send(): void {
    const request: Request = this.#outgoing;
    if (request.ids.length === 0 && !request.close) return;
    this.#outgoing = emptyRequest();
    const worker = this.#running();
    worker.ref();
    worker.postMessage(request);
  }

  #running(): Worker {
    this.#worker ??= this.#start();
    return this.#worker;
  }

  #start(): Worker {
    const worker = new Worker(new URL('./thread-entry.js', import.meta.url), {
      workerData: { file: this.#file, options: this.#options },
      execArgv: [],
    });
    let reason: unknown = new Error('the database thread has ended');
    worker.on('message', (reply: Reply) => this.#settle(reply));
    worker.on('error', (error) => {
      reason = error;
    });
    worker.on('exit', () => this.#lost(worker, reason));
    return worker;
  }

  #settle({ ids, values, failedIds, failures }: Reply): void {
    for (const [i, id] of ids.entries()) this.#take(id)?.resolve(values[i]);
    for (const [i, id] of failedIds.entries()) {
      const failure = failures[i];
      if (failure) this.#take(id)?.reject(toError(failure));
    }
    // An idle database keeps no process alive.
    if (this.#callers.size === 0 && !this.#closing) this.#worker?.unref();
  }

  #take(id: number): Caller | undefined {
    const caller = this.#callers.get(id);
    this.#callers.delete(id);
    return caller;
  }

  #lost(worker: Worker, reason: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const callers = [...this.#callers.values()];
    this.#callers.clear();
    this.#outgoing = emptyRequest();
    for (const { reject } of callers) reject(unavailable(reason instanceof Error ? reason.message : String(reason), reason));
  }
}
