import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Background } from '../background/background.ts';
import { toDatabaseError } from './failure.ts';
import type { ArgumentsOf, OperationName, ResultOf } from './operations.ts';

/**
 * Opens the file that `background` keeps (and makes its folder) and brings its tables up to date. Throws
 * `repository_unavailable`; the thread is left to its owner.
 */
export async function openDatabase(file: string, background: Background = new Background({ database: { file } })): Promise<Database> {
  await mkdir(dirname(file), { recursive: true });
  const database = new Database(background);
  await database.call('ping');
  return database;
}

/** A SQLite database, which lives in the background thread because SQLite is synchronous. */
export class Database {
  readonly #background: Background;

  constructor(background: Background) {
    this.#background = background;
  }

  /**
   * A write is on the disk when the promise resolves; what reaches the thread at the same time shares one commit.
   * Rejects with `repository_unavailable` when the database is busy, cannot be read or written, or is closed; a write
   * may have happened all the same.
   */
  call<N extends OperationName>(name: N, ...args: ArgumentsOf<N>): Promise<ResultOf<N>> {
    return this.#background.call(name, args, toDatabaseError) as Promise<ResultOf<N>>;
  }

  /** Finishes what was called before, then closes the file and ends the thread. */
  close(): Promise<void> {
    return this.#background.close();
  }
}
