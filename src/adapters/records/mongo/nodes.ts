import type { NodeEntry, NodeRepository } from '../../../ports/node-repository.ts';
import { LIMITED, type MongoDatabase } from './database.ts';
import { isDuplicateKey } from './failure.ts';
import type { NodeDocument } from './schema.ts';

const LEAN = { ...LIMITED, lean: true } as const;

/** Entries of the release before have neither weight nor mark. */
const toEntry = ({ _id, url, seenAt, weight = null, draining = false }: NodeDocument): NodeEntry => ({
  name: _id,
  url,
  seenAt,
  weight,
  draining,
});

/** The servers in MongoDB: a document each. */
export class MongoNodeRepository implements NodeRepository {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async register({ name, ...fields }: Omit<NodeEntry, 'draining'>): Promise<void> {
    const write = (): Promise<unknown> =>
      this.#database.run(({ nodes }) => nodes.updateOne({ _id: name }, { $set: fields }, { ...LIMITED, upsert: true }));
    // Two that insert the same name at once: the second finds it there.
    await write().catch((error: unknown) => (isDuplicateKey(error) ? write() : Promise.reject(error)));
  }

  async find(name: string): Promise<NodeEntry | null> {
    const found = await this.#database.run(({ nodes }) => nodes.findOne({ _id: name }, null, LEAN));
    return found && toEntry(found);
  }

  async list(): Promise<NodeEntry[]> {
    return (await this.#database.run(({ nodes }) => nodes.find({}, null, LEAN))).map(toEntry);
  }

  async setDraining(name: string, draining: boolean): Promise<boolean> {
    const { matchedCount } = await this.#database.run(({ nodes }) => nodes.updateOne({ _id: name }, { $set: { draining } }, LIMITED));
    return matchedCount > 0;
  }

  async removeDrained(name: string, seenBefore: number): Promise<boolean> {
    const { deletedCount } = await this.#database.run(({ nodes }) =>
      nodes.deleteOne({ _id: name, draining: true, seenAt: { $lt: seenBefore } }, LIMITED),
    );
    return deletedCount > 0;
  }
}
