import { WindlassError } from '../../../errors.ts';
import type { Resource, ResourceKey, ResourceRepository } from '../../../ports/resource-repository.ts';
import { LIMITED, type MongoDatabase } from './database.ts';
import type { ResourceDocument } from './schema.ts';

const ATTEMPTS = 20;

const LEAN = { ...LIMITED, lean: true } as const;

/** JSON, so that no two keys are the same text. */
const idOf = ({ tenant, type, id }: ResourceKey): string => JSON.stringify([tenant, type, id]);

const toMembers = ({ attributes, ...members }: Resource): Omit<ResourceDocument, '_id'> => ({
  ...members,
  attributes: JSON.stringify(attributes),
});

function toResource({ _id, attributes, ...members }: ResourceDocument): Resource {
  return { ...members, attributes: JSON.parse(attributes) };
}

/** Resources in MongoDB: a document each, every write one atomic update of one document. */
export class MongoResourceRepository implements ResourceRepository {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async find(key: ResourceKey): Promise<Resource | null> {
    const found = await this.#database.run(({ resources }) => resources.findOne({ _id: idOf(key) }, null, LEAN));
    return found && toResource(found);
  }

  /** Whoever is second in creating it meets a duplicate key, and finds the document the next time. */
  async touch({ tenant, type, id }: ResourceKey, now: number): Promise<Resource> {
    const fresh: Resource = { tenant, type, id, attributes: {}, revision: 1, intent: null, createdAt: now, updatedAt: now };
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const touched = await this.#database.run(({ resources }) =>
        resources.findOneAndUpdate(
          { _id: idOf(fresh) },
          { $inc: { revision: 1 }, $set: { updatedAt: now } },
          { ...LEAN, returnDocument: 'after' },
        ),
      );
      if (touched) return toResource(touched);
      if (await this.#insert(fresh)) return fresh;
    }
    throw new WindlassError('conflict', 'The resource is being made and removed by others; try again.', { retryAfter: 1 });
  }

  async replace(next: Resource, expectedRevision: number): Promise<boolean> {
    if (expectedRevision === 0) return this.#insert(next);
    const { matchedCount } = await this.#database.run(({ resources }) =>
      resources.updateOne({ _id: idOf(next), revision: expectedRevision }, { $set: toMembers(next) }, LIMITED),
    );
    return matchedCount > 0;
  }

  #insert(resource: Resource): Promise<boolean> {
    return this.#database.insert(this.#database.models.resources, { _id: idOf(resource), ...toMembers(resource) });
  }

  async settle(key: ResourceKey, intentRevision: number): Promise<void> {
    await this.#database.run(({ resources }) =>
      resources.updateOne({ _id: idOf(key), 'intent.revision': intentRevision }, { $set: { intent: null } }, LIMITED),
    );
  }

  async remove(key: ResourceKey, revision: number): Promise<boolean> {
    const { deletedCount } = await this.#database.run(({ resources }) => resources.deleteOne({ _id: idOf(key), revision }, LIMITED));
    return deletedCount > 0;
  }

  async unsettled(before: number, limit: number): Promise<Resource[]> {
    const filter = { 'intent.revision': { $gt: 0 }, updatedAt: { $lt: before } };
    const found = await this.#database.run(({ resources }) => resources.find(filter, null, { ...LEAN, sort: { updatedAt: 1 }, limit }));
    return found.map(toResource);
  }
}
