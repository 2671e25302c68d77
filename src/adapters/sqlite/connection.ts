import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { appendItems, mergeMembers, withoutItems } from './json.ts';
import { migrate } from './schema.ts';

export interface ConnectionOptions {
  /** How long to wait for another process that is writing (milliseconds). */
  busyTimeoutMs?: number;
}

/** A file, and how it is opened. */
export interface DatabaseFile extends ConnectionOptions {
  file: string;
}

export type Row = SQLOutputValue[];

/** One open database file. Synchronous: it belongs in the background thread. Statements are prepared once. */
export class Connection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(file: string, { busyTimeoutMs = 5000 }: ConnectionOptions = {}) {
    this.#database = new DatabaseSync(file, { timeout: busyTimeoutMs, returnArrays: true });
    try {
      this.#configure();
      migrate(this);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  get<R extends Row>(sql: string, ...values: SQLInputValue[]): R | undefined {
    return this.#prepare(sql).get(...values) as unknown as R | undefined;
  }

  all<R extends Row>(sql: string, ...values: SQLInputValue[]): R[] {
    return this.#prepare(sql).all(...values) as unknown as R[];
  }

  /** How many rows were changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  /** Some failures (no space, an I/O error) make SQLite roll everything back by itself. */
  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /** All of `work` or none of it. Takes the write lock at the start, so that nothing read in between can have moved on. */
  transaction<T>(work: () => T): T {
    this.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.inTransaction) this.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #configure(): void {
    const [mode] = this.get<[string]>('PRAGMA journal_mode') ?? [];
    if (mode !== 'wal') this.exec('PRAGMA journal_mode = WAL');
    // FULL, not the usual NORMAL: an acknowledged write survives a power cut too. Group commit pays for it.
    // fullfsync makes a flush reach the disk on macOS; elsewhere it means nothing.
    this.exec('PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA temp_store = MEMORY');
    this.#database.function('merge_members', { deterministic: true }, mergeMembers);
    this.#database.function('append_items', { deterministic: true }, appendItems);
    this.#database.function('without_items', { deterministic: true }, withoutItems);
  }
}
