import { Worker } from 'node:worker_threads';
import type { DatabaseFile } from '../sqlite/connection.ts';
import { emptyRequest, type Failure, type Reply, type Request, THREAD_GONE, toError } from './messages.ts';

export interface BackgroundOptions {
  /** The SQLite file that the thread keeps, opened by the first call that needs it. */
  database?: DatabaseFile;
}

type ToError = (failure: Failure) => Error;

interface Caller {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  toError: ToError;
}

const gone = (message: string): Failure => ({ message, stack: undefined, details: { code: THREAD_GONE } });

/**
 * The main thread's end of a thread for what is synchronous and quick: SQLite, and calls to the file system for small
 * files. Calls of one turn of the event loop travel together, and the thread takes whatever has reached it at once: the
 * more there is to do, the cheaper each call gets, where Node's pool wakes a thread for each. A thread that dies is
 * started again by the next call.
 */
export class Background {
  readonly #options: BackgroundOptions;
  readonly #callers = new Map<number, Caller>();
  #outgoing = emptyRequest();
  #worker: Worker | null = null;
  #lastId = 0;
  #closing: Promise<void> | null = null;

  constructor(options: BackgroundOptions = {}) {
    this.#options = options;
  }

  /** Arguments and result are cloned, SharedArrayBuffers shared. Rejects with what `fail` makes of the failure. */
  call(name: string, args: unknown[], fail: ToError = toError): Promise<unknown> {
    if (this.#closing) return Promise.reject(fail(gone('it is closed')));
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      this.#callers.set(this.#lastId, { resolve, reject, toError: fail });
      if (this.#outgoing.ids.length === 0) setImmediate(() => this.#send());
      this.#outgoing.ids.push(this.#lastId);
      this.#outgoing.names.push(name);
      this.#outgoing.args.push(args);
    });
  }

  /** Finishes what was called before, then ends the thread. */
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
    const worker = new Worker(new URL('./thread-entry.js', import.meta.url), { workerData: this.#options, execArgv: [] });
    let reason: unknown = new Error('the background thread has ended');
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
      const caller = this.#take(id);
      if (failure) caller?.reject(caller.toError(failure));
    }
    // An idle thread keeps no process alive.
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
    const failure = gone(reason instanceof Error ? reason.message : String(reason));
    for (const caller of callers) caller.reject(caller.toError(failure));
  }
}
