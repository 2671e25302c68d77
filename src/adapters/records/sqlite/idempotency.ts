import type { IdempotencyClaim, IdempotencyRepository } from '../../../ports/idempotency-repository.ts';
import type { Database } from '../../sqlite/database.ts';

/** Idempotency keys in SQLite. What the statements are stands in idempotency-operations.ts. */
export class SqliteIdempotencyRepository implements IdempotencyRepository {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async claim(claim: IdempotencyClaim, now: number): Promise<IdempotencyClaim> {
    const { tenant, key } = claim;
    const args = [tenant, key, claim.uploadId, claim.holder, claim.leaseUntil, claim.expiresAt, now] as const;
    const row = await this.#database.call('idempotency.claim', ...args);
    if (!row) return claim;
    const [uploadId, holder, leaseUntil, expiresAt] = row;
    return { tenant, key, uploadId, holder, leaseUntil, expiresAt };
  }

  renew(tenant: string, key: string, holder: string, leaseUntil: number): Promise<boolean> {
    return this.#database.call('idempotency.renew', tenant, key, holder, leaseUntil);
  }

  async release(tenant: string, key: string, holder: string): Promise<void> {
    await this.#database.call('idempotency.release', tenant, key, holder);
  }

  sweep(now: number): Promise<number> {
    return this.#database.call('idempotency.sweep', now);
  }
}
