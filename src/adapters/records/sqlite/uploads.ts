import type { Upload, UploadChange } from '../../../core/upload.ts';
import { WindlassError } from '../../../errors.ts';
import type { BacklogStats, UploadFilter, UploadRepository, UploadScan } from '../../../ports/upload-repository.ts';
import type { Database } from '../../sqlite/database.ts';
import type { StoredUpload } from './upload-operations.ts';

const toUpload = ([doc, outbox]: StoredUpload): Upload => ({ ...JSON.parse(doc), outbox: JSON.parse(outbox) });

/** The records in SQLite. What the statements are stands in upload-operations.ts. */
export class SqliteUploadRepository implements UploadRepository {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async insert(upload: Upload): Promise<void> {
    const snapshot = JSON.stringify({ ...upload, outbox: undefined });
    const inserted = await this.#database.call('uploads.insert', upload.id, snapshot, JSON.stringify(upload.outbox));
    if (!inserted) throw new WindlassError('conflict', 'There is already an upload with this id.');
  }

  async find(id: string): Promise<Upload | null> {
    const stored = await this.#database.call('uploads.find', id);
    return stored ? toUpload(stored) : null;
  }

  async findMany(ids: readonly string[]): Promise<Upload[]> {
    return (await this.#database.call('uploads.findMany', JSON.stringify(ids))).map(toUpload);
  }

  async apply({ id, version, set, emit }: UploadChange): Promise<Upload | null> {
    const changes = JSON.stringify({ ...set, version: version + 1 });
    const stored = await this.#database.call('uploads.apply', id, version, changes, JSON.stringify(emit));
    return stored ? toUpload(stored) : null;
  }

  renewLease(id: string, token: string, expiresAt: number): Promise<boolean> {
    return this.#database.call('uploads.renewLease', id, token, expiresAt);
  }

  async removeMessages(id: string, messageIds: readonly string[]): Promise<void> {
    if (messageIds.length > 0) await this.#database.call('uploads.removeMessages', id, JSON.stringify(messageIds));
  }

  async list(filter: UploadFilter): Promise<Upload[]> {
    return (await this.#database.call('uploads.list', JSON.stringify(filter))).map(toUpload);
  }

  async scan(query: UploadScan): Promise<Upload[]> {
    return (await this.#database.call('uploads.scan', JSON.stringify(query))).map(toUpload);
  }

  async undelivered(before: number, limit: number): Promise<Upload[]> {
    return (await this.#database.call('uploads.undelivered', before, limit)).map(toUpload);
  }

  purge(id: string, version: number): Promise<boolean> {
    return this.#database.call('uploads.purge', id, version);
  }

  async backlog(): Promise<BacklogStats> {
    const [outboxMessages = 0, outboxOldestAt = null, queuedOldestAt = null, backupsDue = 0, backupsOldestAt = null] =
      (await this.#database.call('uploads.backlog')) ?? [];
    return { outboxMessages, outboxOldestAt, queuedOldestAt, backupsDue, backupsOldestAt };
  }

  async ping(): Promise<void> {
    await this.#database.call('ping');
  }
}
