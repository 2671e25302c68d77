import type { NodeEntry, NodeRepository } from '../../../ports/node-repository.ts';
import { LIMITED, type MongoDatabase } from './database.ts';
import { isDuplicateKey } from './failure.ts';

/** The servers in MongoDB: a document each. */
export class MongoNodeRepository implements NodeRepository {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async register({ name, url, seenAt }: NodeEntry): Promise<void> {
    const write = (): Promise<unknown> =>
      this.#database.run(({ nodes }) => nodes.updateOne({ _id: name }, { $set: { url, seenAt } }, { ...LIMITED, upsert: true }));
    // Two that insert the same name at once: the second finds it there.
    await write().catch((error: unknown) => (isDuplicateKey(error) ? write() : Promise.reject(error)));
  }

  async find(name: string): Promise<NodeEntry | null> {
    const found = await this.#database.run(({ nodes }) => nodes.findOne({ _id: name }, null, { ...LIMITED, lean: true }));
    return found && { name, url: found.url, seenAt: found.seenAt };
  }
}
