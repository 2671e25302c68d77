import type { Upload, UploadChange } from '../../../core/upload.ts';
import { WindlassError } from '../../../errors.ts';
import type { BacklogStats, UploadFilter, UploadRepository, UploadScan } from '../../../ports/upload-repository.ts';
import { LIMITED, type MongoDatabase } from './database.ts';
import { messagesOf, toDocument, toStoredOutbox, toUpload, type UploadDocument } from './upload-document.ts';
import { listFilter, scanFilter, updateOf } from './upload-queries.ts';

const ATTEMPTS = 20;

const LEAN = { ...LIMITED, lean: true } as const;

/** The records in MongoDB: a document each, every write one atomic update of one document. */
export class MongoUploadRepository implements UploadRepository {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async insert(upload: Upload): Promise<void> {
    const inserted = await this.#database.insert(this.#database.models.uploads, toDocument(upload));
    if (!inserted) throw new WindlassError('conflict', 'There is already an upload with this id.');
  }

  async find(id: string): Promise<Upload | null> {
    const found = await this.#database.run(({ uploads }) => uploads.findOne({ _id: id }, null, LEAN));
    return found && toUpload(found);
  }

  async findMany(ids: readonly string[]): Promise<Upload[]> {
    return ids.length === 0 ? [] : this.#select({ _id: { $in: ids } });
  }

  async apply(change: UploadChange): Promise<Upload | null> {
    const { id, version } = change;
    const changed = await this.#database.run(({ uploads }) =>
      uploads.findOneAndUpdate({ _id: id, version }, updateOf(change), { ...LEAN, returnDocument: 'after' }),
    );
    return changed && toUpload(changed);
  }

  async renewLease(id: string, token: string, expiresAt: number): Promise<boolean> {
    const { matchedCount } = await this.#database.run(({ uploads }) =>
      uploads.updateOne({ _id: id, 'lease.token': token }, { $set: { 'lease.expiresAt': expiresAt } }, LIMITED),
    );
    return matchedCount > 0;
  }

  async removeMessages(id: string, messageIds: readonly string[]): Promise<void> {
    const gone = new Set(messageIds);
    if (gone.size === 0) return;
    if (await this.#setOutbox({ _id: id, 'outbox.ids': { $all: [...gone], $size: gone.size } }, [])) return;
    await this.#removeSome(id, gone);
  }

  /** Where other messages stay: written only if no message came or went since they were read. */
  async #removeSome(id: string, gone: ReadonlySet<string>): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const found = await this.#database.run(({ uploads }) => uploads.findOne({ _id: id }, { outbox: 1 }, LEAN));
      if (!found?.outbox.ids.some((each) => gone.has(each))) return;
      const staying = messagesOf(found.outbox).filter((message) => !gone.has(message.id));
      // Without $eq, mongoose takes a list for "any of these".
      if (await this.#setOutbox({ _id: id, 'outbox.ids': { $eq: found.outbox.ids } }, staying)) return;
    }
    throw new WindlassError('conflict', 'Messages of the upload come and go too fast.', { retryAfter: 1 });
  }

  async #setOutbox(filter: Record<string, unknown>, messages: Upload['outbox']): Promise<boolean> {
    const { matchedCount } = await this.#database.run(({ uploads }) =>
      uploads.updateOne(filter, { $set: { outbox: toStoredOutbox(messages) } }, LIMITED),
    );
    return matchedCount > 0;
  }

  async list(filter: UploadFilter): Promise<Upload[]> {
    return this.#select(listFilter(filter), { _id: -1 }, filter.limit);
  }

  async scan(query: UploadScan): Promise<Upload[]> {
    return query.states?.length === 0 ? [] : this.#select(scanFilter(query), { _id: 1 }, query.limit);
  }

  async undelivered(before: number, limit: number): Promise<Upload[]> {
    return this.#select({ 'outbox.oldestAt': { $lt: before } }, { 'outbox.oldestAt': 1 }, limit);
  }

  async #select(filter: Record<string, unknown>, sort: Record<string, 1 | -1> = {}, limit = 0): Promise<Upload[]> {
    const found = await this.#database.run(({ uploads }) => uploads.find(filter, null, { ...LEAN, sort, limit }));
    return found.map(toUpload);
  }

  async purge(id: string, version: number): Promise<boolean> {
    const { deletedCount } = await this.#database.run(({ uploads }) => uploads.deleteOne({ _id: id, version }, LIMITED));
    return deletedCount > 0;
  }

  async backlog(): Promise<BacklogStats> {
    const undelivered = { 'outbox.oldestAt': { $gt: 0 } };
    const due = { 'backup.since': { $gt: 0 }, state: 'stored' as const };
    const [[total], outboxOldest, queuedOldest, backupsDue, backupsOldest] = await Promise.all([
      this.#database.run(({ uploads }) =>
        uploads
          .aggregate<{ messages: number }>([{ $match: undelivered }, { $group: { _id: null, messages: { $sum: '$outbox.size' } } }])
          .option(LIMITED),
      ),
      this.#first(undelivered, { 'outbox.oldestAt': 1 }),
      this.#first({ state: 'queued' }, { createdAt: 1 }),
      this.#database.run(({ uploads }) => uploads.countDocuments(due, LIMITED)),
      this.#first(due, { 'backup.since': 1 }),
    ]);
    return {
      outboxMessages: total?.messages ?? 0,
      outboxOldestAt: outboxOldest?.outbox.oldestAt ?? null,
      queuedOldestAt: queuedOldest?.createdAt ?? null,
      backupsDue,
      backupsOldestAt: backupsOldest?.backup?.state === 'due' ? backupsOldest.backup.since : null,
    };
  }

  #first(filter: Record<string, unknown>, sort: Record<string, 1>): Promise<UploadDocument | null> {
    return this.#database.run(({ uploads }) => uploads.findOne(filter, null, { ...LEAN, sort }));
  }

  async ping(): Promise<void> {
    await this.#database.ping();
  }
}
