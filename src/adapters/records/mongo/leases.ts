import type { LeaseRepository } from '../../../ports/lease-repository.ts';
import { LIMITED, type MongoDatabase } from './database.ts';
import { isDuplicateKey } from './failure.ts';

/** Leases in MongoDB: a document each, every write one atomic update of one document. */
export class MongoLeaseRepository implements LeaseRepository {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  /** A lease that somebody else holds does not meet the condition, and its name is taken: the upsert is a duplicate key. */
  async acquire(name: string, holder: string, now: number, until: number): Promise<boolean> {
    const free = { _id: name, $or: [{ holder }, { until: { $lte: now } }] };
    try {
      await this.#database.run(({ leases }) => leases.updateOne(free, { $set: { holder, until } }, { ...LIMITED, upsert: true }));
      return true;
    } catch (error) {
      if (isDuplicateKey(error)) return false;
      throw error;
    }
  }

  async release(name: string, holder: string): Promise<void> {
    await this.#database.run(({ leases }) => leases.deleteOne({ _id: name, holder }, LIMITED));
  }
}
