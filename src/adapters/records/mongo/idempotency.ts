import { WindlassError } from '../../../errors.ts';
import type { IdempotencyClaim, IdempotencyRepository } from '../../../ports/idempotency-repository.ts';
import { LIMITED, type MongoDatabase } from './database.ts';

const ATTEMPTS = 20;
/** Keys forgotten in one step, so that a step never takes long. */
const SWEEP = 1000;

const LEAN = { ...LIMITED, lean: true } as const;

/** JSON, so that no two keys are the same text. */
const idOf = (tenant: string, key: string): string => JSON.stringify([tenant, key]);

/** Idempotency keys in MongoDB: a document each, every write one atomic update of one document. */
export class MongoIdempotencyRepository implements IdempotencyRepository {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  /** Most keys are new. One that is not is read, and taken over only if it still is as it was read. */
  async claim(claim: IdempotencyClaim, now: number): Promise<IdempotencyClaim> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (await this.#insert(claim)) return claim;
      const held = await this.#find(claim);
      if (!held) continue;
      if (Math.min(held.expiresAt, held.leaseUntil) > now) return held;
      const next = held.expiresAt <= now ? claim : { ...claim, uploadId: held.uploadId };
      if (await this.#replace(held, next)) return next;
    }
    throw new WindlassError('conflict', 'The key is being claimed by others; try again.', { retryAfter: 1 });
  }

  #insert({ tenant, key, uploadId, holder, leaseUntil, expiresAt }: IdempotencyClaim): Promise<boolean> {
    const document = { _id: idOf(tenant, key), tenant, key, uploadId, holder, leaseUntil, expiresAt };
    return this.#database.insert(this.#database.models.claims, document);
  }

  async #find({ tenant, key }: IdempotencyClaim): Promise<IdempotencyClaim | null> {
    const found = await this.#database.run(({ claims }) => claims.findOne({ _id: idOf(tenant, key) }, null, LEAN));
    if (!found) return null;
    const { uploadId, holder, leaseUntil, expiresAt } = found;
    return { tenant, key, uploadId, holder, leaseUntil, expiresAt };
  }

  async #replace(held: IdempotencyClaim, next: IdempotencyClaim): Promise<boolean> {
    const { tenant, key, uploadId, holder, leaseUntil, expiresAt } = held;
    const { matchedCount } = await this.#database.run(({ claims }) =>
      claims.updateOne(
        { _id: idOf(tenant, key), uploadId, holder, leaseUntil, expiresAt },
        { $set: { uploadId: next.uploadId, holder: next.holder, leaseUntil: next.leaseUntil, expiresAt: next.expiresAt } },
        LIMITED,
      ),
    );
    return matchedCount > 0;
  }

  async renew(tenant: string, key: string, holder: string, leaseUntil: number): Promise<boolean> {
    const { matchedCount } = await this.#database.run(({ claims }) =>
      claims.updateOne({ _id: idOf(tenant, key), holder }, { $set: { leaseUntil } }, LIMITED),
    );
    return matchedCount > 0;
  }

  async release(tenant: string, key: string, holder: string): Promise<void> {
    await this.#database.run(({ claims }) => claims.deleteOne({ _id: idOf(tenant, key), holder }, LIMITED));
  }

  async sweep(now: number): Promise<number> {
    let swept = 0;
    for (;;) {
      const page = await this.#database.run(({ claims }) =>
        claims.find({ expiresAt: { $lt: now } }, { _id: 1 }, { ...LEAN, sort: { expiresAt: 1 }, limit: SWEEP }),
      );
      if (page.length === 0) return swept;
      const ids = page.map(({ _id }) => _id);
      const { deletedCount } = await this.#database.run(({ claims }) =>
        claims.deleteMany({ _id: { $in: ids }, expiresAt: { $lt: now } }, LIMITED),
      );
      swept += deletedCount;
      if (page.length < SWEEP) return swept;
    }
  }
}
