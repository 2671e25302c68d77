import { read, write } from '../../sqlite/operation.ts';

export type ClaimedJob = [seq: number, doc: string, deliveries: number];

/** Jobs in the order in which they become available; `lease` tells whose settlement counts. All times are epoch ms. */
export const jobOperations = {
  'jobs.publish': write((connection, id: string, uploadId: string, doc: string, availableAt: number) =>
    connection.run(
      'INSERT INTO jobs (id, upload_id, doc, available_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      id,
      uploadId,
      doc,
      availableAt,
    ),
  ),

  /** Leases up to `limit` jobs that are available, longest waiting first; `deliveries` counts those before this one. */
  'jobs.claim': write((connection, lease: string, now: number, leaseUntil: number, limit: number) => {
    const jobs = connection.all<ClaimedJob>(
      'SELECT seq, doc, deliveries FROM jobs WHERE died_at IS NULL AND available_at <= ? ORDER BY available_at, seq LIMIT ?',
      now,
      limit,
    );
    if (jobs.length === 0) return jobs;
    connection.run(
      `UPDATE jobs SET lease = ?, available_at = ?, deliveries = deliveries + 1
       WHERE seq IN (SELECT value FROM json_each(?))`,
      lease,
      leaseUntil,
      JSON.stringify(jobs.map(([seq]) => seq)),
    );
    return jobs;
  }),

  /** When the next job becomes available (which may have passed), null when there is none. */
  'jobs.nextAt': read(
    (connection) => connection.get<[number | null]>('SELECT min(available_at) FROM jobs WHERE died_at IS NULL')?.[0] ?? null,
  ),

  /** `leases` is a JSON list of [seq, lease]; which of them (by seq) are still held. */
  'jobs.renew': write((connection, leases: string, leaseUntil: number) =>
    connection
      .all<[number]>(
        `UPDATE jobs SET available_at = ?
         WHERE (seq, lease) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) RETURNING seq`,
        leaseUntil,
        leases,
      )
      .map(([seq]) => seq),
  ),

  'jobs.done': write((connection, seq: number, lease: string) =>
    connection.run('DELETE FROM jobs WHERE seq = ? AND lease = ?', seq, lease),
  ),

  'jobs.retry': write((connection, seq: number, lease: string, availableAt: number) =>
    connection.run('UPDATE jobs SET lease = NULL, available_at = ? WHERE seq = ? AND lease = ?', availableAt, seq, lease),
  ),

  'jobs.die': write((connection, seq: number, lease: string, now: number, reason: string) =>
    connection.run('UPDATE jobs SET lease = NULL, died_at = ?, reason = ? WHERE seq = ? AND lease = ?', now, reason, seq, lease),
  ),

  /** Gives jobs back that nobody has begun: that delivery is not counted. */
  'jobs.handBack': write((connection, lease: string, now: number) =>
    connection.run('UPDATE jobs SET lease = NULL, available_at = ?, deliveries = deliveries - 1 WHERE lease = ?', now, lease),
  ),

  'jobs.depth': read((connection, now: number) =>
    connection.get<[ready: number, delayed: number, leased: number, dead: number]>(
      `SELECT (SELECT count(*) FROM jobs WHERE died_at IS NULL AND available_at <= ?1),
              (SELECT count(*) FROM jobs WHERE died_at IS NULL AND available_at > ?1 AND lease IS NULL),
              (SELECT count(*) FROM jobs WHERE died_at IS NULL AND available_at > ?1 AND lease IS NOT NULL),
              (SELECT count(*) FROM jobs WHERE died_at IS NOT NULL)`,
      now,
    ),
  ),

  'jobs.dead': read((connection, limit: number) =>
    connection.all<[doc: string, reason: string, diedAt: number]>(
      'SELECT doc, reason, died_at FROM jobs WHERE died_at IS NOT NULL ORDER BY died_at, seq LIMIT ?',
      limit,
    ),
  ),

  'jobs.removeDead': write((connection, uploadId: string) =>
    connection.run('DELETE FROM jobs WHERE upload_id = ? AND died_at IS NOT NULL', uploadId),
  ),
};
