import type { NodeEntry, NodeRepository } from '../../../ports/node-repository.ts';
import type { Database } from '../../sqlite/database.ts';

/** The servers in SQLite. What the statements are stands in node-operations.ts. */
export class SqliteNodeRepository implements NodeRepository {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async register({ name, url, seenAt }: NodeEntry): Promise<void> {
    await this.#database.call('nodes.register', name, url, seenAt);
  }

  async find(name: string): Promise<NodeEntry | null> {
    const row = await this.#database.call('nodes.find', name);
    return row ? { name, url: row[0], seenAt: row[1] } : null;
  }
}
