import type { LeaseRepository } from '../../../ports/lease-repository.ts';
import type { Database } from '../../sqlite/database.ts';

/** Leases in SQLite. What the statements are stands in lease-operations.ts. */
export class SqliteLeaseRepository implements LeaseRepository {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  acquire(name: string, holder: string, now: number, until: number): Promise<boolean> {
    return this.#database.call('leases.acquire', name, holder, now, until);
  }

  async release(name: string, holder: string): Promise<void> {
    await this.#database.call('leases.release', name, holder);
  }
}
