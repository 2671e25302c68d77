import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../src/adapters/sqlite/database.ts';

export interface SqliteFile {
  readonly file: string;
  readonly database: Database;
  /** Closes the database and opens the same file again. */
  reopen(): Promise<Database>;
  /** Another connection to the same file, as another process would have; closed along with the first. */
  another(): Promise<Database>;
  close(): Promise<void>;
}

/** An empty database in a folder of its own. */
export async function openSqliteFile(): Promise<SqliteFile> {
  const folder = await mkdtemp(join(tmpdir(), 'windlass-sqlite-'));
  const file = join(folder, 'made', 'on', 'demand', 'windlass.db');
  let database = await openDatabase(file);
  const others: Database[] = [];
  return {
    file,
    get database() {
      return database;
    },
    async reopen() {
      await database.close();
      database = await openDatabase(file);
      return database;
    },
    async another() {
      const other = await openDatabase(file);
      others.push(other);
      return other;
    },
    async close() {
      await Promise.all([database, ...others].map((each) => each.close()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
