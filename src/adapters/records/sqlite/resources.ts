import type { Resource, ResourceKey, ResourceRepository } from '../../../ports/resource-repository.ts';
import type { Database } from '../../sqlite/database.ts';

/** Resources in SQLite. What the statements are stands in resource-operations.ts. */
export class SqliteResourceRepository implements ResourceRepository {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find({ tenant, type, id }: ResourceKey): Promise<Resource | null> {
    const doc = await this.#database.call('resources.find', tenant, type, id);
    return doc === undefined ? null : JSON.parse(doc);
  }

  async touch({ tenant, type, id }: ResourceKey, now: number): Promise<Resource> {
    const fresh: Resource = { tenant, type, id, attributes: {}, revision: 1, intent: null, createdAt: now, updatedAt: now };
    const doc = await this.#database.call('resources.touch', tenant, type, id, JSON.stringify(fresh), now);
    return doc === undefined ? fresh : JSON.parse(doc);
  }

  replace(next: Resource, expectedRevision: number): Promise<boolean> {
    const { tenant, type, id } = next;
    const doc = JSON.stringify(next);
    return expectedRevision === 0
      ? this.#database.call('resources.insert', tenant, type, id, doc)
      : this.#database.call('resources.replace', tenant, type, id, doc, expectedRevision);
  }

  async settle({ tenant, type, id }: ResourceKey, intentRevision: number): Promise<void> {
    await this.#database.call('resources.settle', tenant, type, id, intentRevision);
  }

  remove({ tenant, type, id }: ResourceKey, revision: number): Promise<boolean> {
    return this.#database.call('resources.remove', tenant, type, id, revision);
  }

  async unsettled(before: number, limit: number): Promise<Resource[]> {
    return (await this.#database.call('resources.unsettled', before, limit)).map(([doc]) => JSON.parse(doc));
  }
}
