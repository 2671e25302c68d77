import type { Collection, IndexDefinition, IndexOptions } from 'mongoose';
import { codeOf } from '../../../errors.ts';
import type { Provisioned, ProvisionStep } from '../../../ports/provision.ts';
import type { MongoDatabase } from './database.ts';
import { unavailable } from './failure.ts';

/** An index over many records takes its time, and the connection waits for it. */
const BUILD = { answerMs: 60 * 60 * 1000, options: { socketTimeoutMS: 0 } };

const NO_SUCH_COLLECTION = 26;

/** Of a model: what it stores does not matter here. */
interface Indexed {
  collection: Collection;
  schema: { indexes(): [IndexDefinition, IndexOptions][] };
}

/** The indexes of the schemas, which the queries of the repositories need as soon as there are many records. */
export class MongoIndexes implements Provisioned {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async provision(): Promise<ProvisionStep[]> {
    const steps: ProvisionStep[] = [];
    for (const model of Object.values<Indexed>({ ...this.#database.models })) {
      const there = await this.#namesOn(model);
      for (const [keys, options] of model.schema.indexes()) {
        const { name = '', sparse = false } = options ?? {};
        await this.#make(model, keys, { name, sparse });
        const subject = `index ${model.collection.name}.${name}`;
        steps.push({ subject, outcome: there.has(name) ? 'unchanged' : 'made', detail: Object.keys(keys).join(', ') });
      }
    }
    return steps;
  }

  async #namesOn({ collection }: Indexed): Promise<Set<string | undefined>> {
    try {
      return new Set((await this.#database.run(() => collection.indexes())).map(({ name }) => name));
    } catch (error) {
      if ((error as { code?: unknown }).code === NO_SUCH_COLLECTION) return new Set();
      throw error;
    }
  }

  /** The server itself does nothing when the index is there. */
  async #make({ collection }: Indexed, keys: IndexDefinition, options: { name: string; sparse: boolean }): Promise<void> {
    const { name, sparse } = options;
    const index = { name, ...(sparse ? { sparse } : {}), ...BUILD.options };
    try {
      await this.#database.run(() => collection.createIndex(keys as Record<string, 1 | -1>, index), BUILD.answerMs);
    } catch (error) {
      if (codeOf(error) === 'repository_unavailable') throw error;
      throw unavailable(`The database refuses the index ${collection.name}.${name}: ${(error as Error).message}`, error);
    }
  }
}
