import type { Connection } from './connection.ts';

/**
 * The tables. A record is a JSON document; the columns that conditions and indexes need are computed from it, so that
 * they cannot disagree with it. They stand before it, so that a condition need not read past it. An upload's undelivered
 * messages stand beside its document, in the same row.
 */
const TABLES = `
  CREATE TABLE uploads (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER AS (doc ->> '$.version') STORED,
    tenant TEXT AS (doc ->> '$.tenant') STORED,
    state TEXT AS (doc ->> '$.state') STORED,
    strategy TEXT AS (doc ->> '$.strategy') STORED,
    resource_type TEXT AS (doc ->> '$.resource.type') STORED,
    resource_id TEXT AS (doc ->> '$.resource.id') STORED,
    created_at INTEGER AS (doc ->> '$.createdAt') STORED,
    updated_at INTEGER AS (doc ->> '$.updatedAt') STORED,
    expires_at INTEGER AS (doc ->> '$.expiresAt') STORED,
    lease_token TEXT AS (doc ->> '$.lease.token') STORED,
    lease_expires_at INTEGER AS (doc ->> '$.lease.expiresAt') STORED,
    outbox_size INTEGER AS (json_array_length(outbox)) STORED,
    outbox_oldest_at INTEGER AS (outbox ->> '$[0].at') STORED,
    doc TEXT NOT NULL,
    outbox TEXT NOT NULL
  );
  CREATE INDEX uploads_by_tenant ON uploads (tenant, id) WHERE state <> 'deleted';
  CREATE INDEX uploads_by_state ON uploads (tenant, state, id);
  CREATE INDEX uploads_by_strategy ON uploads (tenant, strategy, id) WHERE state <> 'deleted';
  CREATE INDEX uploads_by_resource ON uploads (tenant, resource_type, resource_id, id) WHERE resource_type IS NOT NULL;
  CREATE INDEX uploads_to_scan ON uploads (state, id, updated_at, expires_at, lease_expires_at);
  CREATE INDEX uploads_undelivered ON uploads (outbox_oldest_at, outbox_size) WHERE outbox_oldest_at IS NOT NULL;
  CREATE INDEX uploads_queued ON uploads (created_at) WHERE state = 'queued';

  CREATE TABLE resources (
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    doc TEXT NOT NULL,
    revision INTEGER AS (doc ->> '$.revision') STORED,
    intent_revision INTEGER AS (doc ->> '$.intent.revision') STORED,
    updated_at INTEGER AS (doc ->> '$.updatedAt') STORED,
    PRIMARY KEY (tenant, type, id)
  );
  CREATE INDEX resources_unsettled ON resources (updated_at) WHERE intent_revision IS NOT NULL;

  CREATE TABLE idempotency_claims (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
  ) WITHOUT ROWID;
  CREATE INDEX idempotency_claims_expiry ON idempotency_claims (expires_at);

  CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
  ) WITHOUT ROWID;

  -- A job that is leased is one that becomes available when its lease ends.
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    upload_id TEXT NOT NULL,
    doc TEXT NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    available_at INTEGER NOT NULL,
    lease TEXT,
    died_at INTEGER,
    reason TEXT
  );
  CREATE INDEX jobs_live ON jobs (available_at, seq, lease) WHERE died_at IS NULL;
  CREATE INDEX jobs_dead ON jobs (died_at, seq) WHERE died_at IS NOT NULL;
  CREATE INDEX jobs_dead_by_upload ON jobs (upload_id) WHERE died_at IS NOT NULL;
`;

const NODES = 'CREATE TABLE nodes (name TEXT PRIMARY KEY NOT NULL, url TEXT NOT NULL, seen_at INTEGER NOT NULL) WITHOUT ROWID';

/** A record's place is read from its document when it is asked for: a stored column cannot be added to a table. */
const PLACES = `
  ALTER TABLE nodes ADD COLUMN weight REAL;
  ALTER TABLE nodes ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE uploads ADD COLUMN node TEXT AS (doc ->> '$.location.node') VIRTUAL;
  CREATE INDEX uploads_by_node ON uploads (node, state, id) WHERE node IS NOT NULL;
`;

/** Only records whose backup is still to be made are in the index. */
const BACKUPS = `
  ALTER TABLE uploads ADD COLUMN backup_since INTEGER AS (doc ->> '$.backup.since') VIRTUAL;
  CREATE INDEX uploads_to_back_up ON uploads (state, id, backup_since) WHERE backup_since IS NOT NULL;
`;

/**
 * Step N brings a database from `user_version` N to N + 1; steps are only ever added at the end. A step must leave the
 * release before it working (new columns, tables and indexes, nothing renamed or dropped), for an upgrade can be taken
 * back: that is why a database from a newer release is not refused here.
 */
const MIGRATIONS: readonly string[] = [TABLES, NODES, PLACES, BACKUPS];

/** Brings the database up to date. Safe to repeat and to run in several processes at once. */
export function migrate(connection: Connection): void {
  const version = () => connection.get<[number]>('PRAGMA user_version')?.[0] ?? 0;
  if (version() >= MIGRATIONS.length) return;
  connection.transaction(() => {
    const from = version();
    for (const step of MIGRATIONS.slice(from)) connection.exec(step);
    if (from < MIGRATIONS.length) connection.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  });
}
