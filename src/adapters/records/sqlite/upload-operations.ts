import { read, write } from '../../sqlite/operation.ts';
import { listQuery, scanQuery } from './upload-queries.ts';

/** A stored upload as it travels between the threads: the record without its outbox, and the outbox, both JSON. */
export type StoredUpload = [doc: string, outbox: string];

type BacklogRow = [
  outboxMessages: number,
  outboxOldestAt: number | null,
  queuedOldestAt: number | null,
  backupsDue: number,
  backupsOldestAt: number | null,
];

/** Mostly its only message goes, which SQLite sees for itself. */
const WITHOUT_MESSAGES = `
  UPDATE uploads
  SET outbox = CASE WHEN outbox_size = 1 AND json_array(outbox ->> '$[0].id') = ?1 THEN '[]' ELSE without_items(outbox, ?1) END
  WHERE id = ?2 AND outbox <> '[]'`;

export const uploadOperations = {
  'uploads.insert': write(
    (connection, id: string, doc: string, outbox: string) =>
      connection.run('INSERT INTO uploads (id, doc, outbox) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', id, doc, outbox) > 0,
  ),

  'uploads.find': read((connection, id: string) => connection.get<StoredUpload>('SELECT doc, outbox FROM uploads WHERE id = ?', id)),

  'uploads.findMany': read((connection, ids: string) =>
    connection.all<StoredUpload>('SELECT doc, outbox FROM uploads WHERE id IN (SELECT value FROM json_each(?))', ids),
  ),

  'uploads.apply': write((connection, id: string, version: number, set: string, emit: string) =>
    connection.get<StoredUpload>(
      `UPDATE uploads SET doc = merge_members(doc, ?), outbox = append_items(outbox, ?)
       WHERE id = ? AND version = ? RETURNING doc, outbox`,
      set,
      emit,
      id,
      version,
    ),
  ),

  'uploads.renewLease': write(
    (connection, id: string, token: string, expiresAt: number) =>
      connection.run(
        `UPDATE uploads SET doc = json_set(doc, '$.lease.expiresAt', ?) WHERE id = ? AND lease_token = ?`,
        expiresAt,
        id,
        token,
      ) > 0,
  ),

  'uploads.removeMessages': write((connection, id: string, messageIds: string) => connection.run(WITHOUT_MESSAGES, messageIds, id) > 0),

  'uploads.list': read((connection, filter: string) => {
    const { sql, values } = listQuery(JSON.parse(filter));
    return connection.all<StoredUpload>(sql, ...values);
  }),

  'uploads.scan': read((connection, query: string) => {
    const { sql, values } = scanQuery(JSON.parse(query));
    return connection.all<StoredUpload>(sql, ...values);
  }),

  'uploads.undelivered': read((connection, before: number, limit: number) =>
    connection.all<StoredUpload>(
      'SELECT doc, outbox FROM uploads WHERE outbox_oldest_at < ? ORDER BY outbox_oldest_at LIMIT ?',
      before,
      limit,
    ),
  ),

  'uploads.purge': write(
    (connection, id: string, version: number) => connection.run('DELETE FROM uploads WHERE id = ? AND version = ?', id, version) > 0,
  ),

  'uploads.backlog': read((connection) =>
    connection.get<BacklogRow>(
      `SELECT (SELECT coalesce(sum(outbox_size), 0) FROM uploads WHERE outbox_oldest_at IS NOT NULL),
              (SELECT min(outbox_oldest_at) FROM uploads WHERE outbox_oldest_at IS NOT NULL),
              (SELECT min(created_at) FROM uploads WHERE state = 'queued'),
              (SELECT count(*) FROM uploads WHERE backup_since IS NOT NULL AND state = 'stored'),
              (SELECT min(backup_since) FROM uploads WHERE backup_since IS NOT NULL AND state = 'stored')`,
    ),
  ),
};
