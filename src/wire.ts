import { join } from 'node:path';
import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import { v7 } from 'uuid';
import { LocalDisk } from './adapters/disk/local-disk.ts';
import { EmbeddedJobQueue } from './adapters/job-queue/embedded/queue.ts';
import { ServersDisks } from './adapters/node-disks/node-disks.ts';
import { storeEndpoint } from './adapters/object-store/disk/http.ts';
import { DiskPresigner } from './adapters/object-store/disk/links.ts';
import { loadOrCreateSecret } from './adapters/object-store/disk/secret.ts';
import { DiskObjectStore } from './adapters/object-store/disk/store.ts';
import { SqliteIdempotencyRepository } from './adapters/records/sqlite/idempotency.ts';
import { SqliteLeaseRepository } from './adapters/records/sqlite/leases.ts';
import { SqliteNodeRepository } from './adapters/records/sqlite/nodes.ts';
import { SqliteResourceRepository } from './adapters/records/sqlite/resources.ts';
import { SqliteUploadRepository } from './adapters/records/sqlite/uploads.ts';
import { openDatabase } from './adapters/sqlite/database.ts';
import { InProcessUploadEvents } from './adapters/upload-events/in-process.ts';
import type { Config } from './config.ts';
import { openBody } from './http/receive/body.ts';
import type { Metrics } from './metrics.ts';
import { observedStore } from './observed-store.ts';
import type { Platform } from './platform.ts';

export interface Wired {
  platform: Platform;
  /** Serves the signed links of the embedded store; null where the store serves its own. */
  storeEndpoint: Middleware | null;
  /** Closes what was opened. Call it once nothing uses the platform any more. */
  close(): Promise<void>;
}

export interface WireOptions {
  config: Config;
  log: Logger;
  metrics: Metrics;
  /** Address that clients reach this server by. */
  publicUrl: string;
}

/** Chooses an adapter for each port from the settings: the only file that knows them. */
export async function wire({ config, log, metrics, publicUrl }: WireOptions): Promise<Wired> {
  const clock = Date.now;
  const newId = (): string => v7();
  const database = await openDatabase(join(config.DATA_DIR, 'windlass.db'));
  const disk = (root: string): LocalDisk => new LocalDisk({ root, minFreeBytes: config.MIN_FREE_BYTES, newId });
  const store = new DiskObjectStore({ root: join(config.DATA_DIR, 'store'), minFreeBytes: config.MIN_FREE_BYTES, newId, clock });
  const secret = config.LINK_SECRET ?? (await loadOrCreateSecret(join(config.DATA_DIR, 'secrets', 'link.key')));
  const presigner = new DiskPresigner({ secret, publicUrl });
  const limits = { idleMs: config.UPLOAD_IDLE_SECONDS * 1000, minBytesPerSecond: config.MIN_UPLOAD_BYTES_PER_SECOND, clock };

  const spool = disk(config.SPOOL_DIR);
  const direct = disk(config.DIRECT_DIR);
  const nodes = new SqliteNodeRepository(database);

  const platform: Platform = {
    config,
    log,
    metrics,
    clock,
    newId,
    uploads: new SqliteUploadRepository(database),
    resources: new SqliteResourceRepository(database),
    idempotency: new SqliteIdempotencyRepository(database),
    leases: new SqliteLeaseRepository(database),
    queue: new EmbeddedJobQueue({ database, clock, newId, leaseMs: config.LEASE_SECONDS * 1000 }),
    events: new InProcessUploadEvents(),
    store: observedStore(store, metrics),
    presigner,
    spool,
    direct,
    disks: new ServersDisks({ node: config.NODE_NAME, spool, spoolIsShared: false, direct, nodes, secret: undefined, clock }),
    nodes,
  };
  return {
    platform,
    storeEndpoint: storeEndpoint({ store, presigner, clock, watch: (_body, ctx) => openBody(ctx, limits) }),
    async close() {
      await platform.queue.close();
      await database.close();
    },
  };
}
