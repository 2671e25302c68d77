import type { NodeEntry, NodeRepository } from '../../../ports/node-repository.ts';
import type { Database } from '../../sqlite/database.ts';
import type { NodeRow } from './node-operations.ts';

const toEntry = ([name, url, seenAt, weight, draining]: NodeRow): NodeEntry => ({ name, url, seenAt, weight, draining: draining !== 0 });

/** The servers in SQLite. What the statements are stands in node-operations.ts. */
export class SqliteNodeRepository implements NodeRepository {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async register({ name, url, seenAt, weight }: Omit<NodeEntry, 'draining'>): Promise<void> {
    await this.#database.call('nodes.register', name, url, seenAt, weight);
  }

  async find(name: string): Promise<NodeEntry | null> {
    const row = await this.#database.call('nodes.find', name);
    return row ? toEntry(row) : null;
  }

  async list(): Promise<NodeEntry[]> {
    return (await this.#database.call('nodes.list')).map(toEntry);
  }

  setDraining(name: string, draining: boolean): Promise<boolean> {
    return this.#database.call('nodes.setDraining', name, draining ? 1 : 0);
  }

  removeDrained(name: string, seenBefore: number): Promise<boolean> {
    return this.#database.call('nodes.removeDrained', name, seenBefore);
  }
}
