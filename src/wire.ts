import { join } from 'node:path';
import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import { v7 } from 'uuid';
import { LocalDisk } from './adapters/disk/local-disk.ts';
import { EmbeddedJobQueue } from './adapters/job-queue/embedded/queue.ts';
import { internalEndpoint } from './adapters/node-disks/endpoint.ts';
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
import { type Database, openDatabase } from './adapters/sqlite/database.ts';
import { InProcessUploadEvents } from './adapters/upload-events/in-process.ts';
import type { Config } from './config.ts';
import { openBody } from './http/receive/body.ts';
import type { Metrics } from './metrics.ts';
import { observedStore } from './observed-store.ts';
import type { Platform, Ports } from './platform.ts';
import type { Provisioned, ProvisionStep } from './ports/provision.ts';

export interface Wired {
  platform: Platform;
  /** Serves the signed links of the embedded store; null where the store serves its own. */
  storeEndpoint: Middleware | null;
  /** Answers other servers and workers for this one's disk; null without INTERNAL_SECRET. */
  internalEndpoint: Middleware | null;
  /** Makes what the chosen parts need at their servers: indexes, queues, bucket. Safe to repeat. */
  provision(): Promise<ProvisionStep[]>;
  /** Closes what was opened. Call it once nothing uses the platform any more. */
  close(): Promise<void>;
}

export interface WireOptions {
  config: Config;
  log: Logger;
  metrics: Metrics;
  /** Address that clients reach this server by. */
  publicUrl: string;
  /** Whether a message broker that is away is waited for in the background: a server can do without it for a while. */
  patient: boolean;
}

interface Wiring extends WireOptions {
  clock: () => number;
  newId: () => string;
  /** What has been opened, in that order; closed the other way round. */
  opened: { close(): Promise<void> | void }[];
  /** What has to be set up at its server. */
  provisioned: Provisioned[];
  /** SQLite, opened by the first that needs it. */
  sqlite: () => Promise<Database>;
}

/**
 * Chooses an adapter for each port from the settings: the only file that knows them. The parts for production, and the
 * SDKs below them, are loaded only where they are chosen.
 */
export async function wire(options: WireOptions): Promise<Wired> {
  const opened: Wiring['opened'] = [];
  const closeAll = async (): Promise<void> => {
    for (const part of opened.splice(0).reverse()) await part.close();
  };
  try {
    return { ...(await wireParts(options, opened)), close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function wireParts(options: WireOptions, opened: Wiring['opened']): Promise<Omit<Wired, 'close'>> {
  const { config, log, metrics } = options;
  let database: Promise<Database> | null = null;
  const wiring: Wiring = {
    ...options,
    opened,
    provisioned: [],
    clock: Date.now,
    newId: () => v7(),
    sqlite: () => {
      database ??= openDatabase(join(config.DATA_DIR, 'windlass.db')).then((sqlite) => {
        opened.push(sqlite);
        return sqlite;
      });
      return database;
    },
  };
  const { clock, newId, provisioned } = wiring;
  const disk = (root: string): LocalDisk => new LocalDisk({ root, minFreeBytes: config.MIN_FREE_BYTES, newId });
  const own = { spool: disk(config.SPOOL_DIR), direct: disk(config.DIRECT_DIR) };
  const records = await (config.MONGODB_URI ? recordsInMongo(wiring, config.MONGODB_URI) : recordsInSqlite(wiring));
  const messages = await (config.RABBITMQ_URL ? messagesInRabbit(wiring, config.RABBITMQ_URL) : messagesInSqlite(wiring));
  const { endpoint, ...objects } = await (config.S3_BUCKET ? objectsInS3(wiring, config.S3_BUCKET) : objectsOnDisk(wiring));

  const secret = config.INTERNAL_SECRET;
  const { NODE_NAME: node, SPOOL_SHARED: spoolIsShared } = config;
  const disks = new ServersDisks({ node, ...own, spoolIsShared, nodes: records.nodes, secret, clock });
  opened.push(disks);
  const platform: Platform = { config, log, metrics, clock, newId, ...own, disks, ...records, ...messages, ...objects };
  return {
    platform,
    storeEndpoint: endpoint,
    internalEndpoint: secret === undefined ? null : internalEndpoint({ ...own, secret, clock }),
    async provision() {
      const steps: ProvisionStep[] = [];
      for (const part of provisioned) steps.push(...(await part.provision()));
      return steps;
    },
  };
}

type Records = Pick<Ports, 'uploads' | 'resources' | 'idempotency' | 'leases' | 'nodes'>;

async function recordsInSqlite({ sqlite }: Wiring): Promise<Records> {
  const database = await sqlite();
  return {
    uploads: new SqliteUploadRepository(database),
    resources: new SqliteResourceRepository(database),
    idempotency: new SqliteIdempotencyRepository(database),
    leases: new SqliteLeaseRepository(database),
    nodes: new SqliteNodeRepository(database),
  };
}

async function recordsInMongo({ opened, provisioned }: Wiring, uri: string): Promise<Records> {
  const { openMongoRecords } = await import('./adapters/records/mongo/open.ts');
  const mongo = await openMongoRecords(uri);
  opened.push(mongo);
  provisioned.push(mongo.indexes);
  return mongo.records;
}

type Messages = Pick<Ports, 'queue' | 'events'>;

async function messagesInSqlite({ config, clock, newId, sqlite, opened }: Wiring): Promise<Messages> {
  const queue = new EmbeddedJobQueue({ database: await sqlite(), clock, newId, leaseMs: config.LEASE_SECONDS * 1000 });
  opened.push(queue);
  return { queue, events: new InProcessUploadEvents() };
}

async function messagesInRabbit({ config, log, publicUrl, patient, clock, opened, provisioned }: Wiring, url: string): Promise<Messages> {
  const { openRabbitMessages } = await import('./adapters/rabbitmq/open.ts');
  const rabbit = await openRabbitMessages({ url, log, prefix: config.RABBITMQ_PREFIX, publicUrl, patient, clock });
  opened.push(rabbit);
  const { queue, events } = rabbit;
  provisioned.push(queue, events);
  return { queue, events };
}

type Objects = Pick<Ports, 'store' | 'presigner'> & { endpoint: Middleware | null };

async function objectsOnDisk({ config, metrics, publicUrl, clock, newId }: Wiring): Promise<Objects> {
  const store = new DiskObjectStore({ root: join(config.DATA_DIR, 'store'), minFreeBytes: config.MIN_FREE_BYTES, newId, clock });
  const secret = config.LINK_SECRET ?? (await loadOrCreateSecret(join(config.DATA_DIR, 'secrets', 'link.key')));
  const presigner = new DiskPresigner({ secret, publicUrl });
  const limits = { idleMs: config.UPLOAD_IDLE_SECONDS * 1000, minBytesPerSecond: config.MIN_UPLOAD_BYTES_PER_SECOND, clock };
  const endpoint = storeEndpoint({ store, presigner, clock, watch: (_body, ctx) => openBody(ctx, limits) });
  return { store: observedStore(store, metrics), presigner, endpoint };
}

const DAY_SECONDS = 86_400;

async function objectsInS3({ config, metrics, publicUrl, clock, opened, provisioned }: Wiring, bucket: string): Promise<Objects> {
  const { openS3 } = await import('./adapters/object-store/s3/open.ts');
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = config;
  const options = {
    bucket,
    region: config.S3_REGION,
    endpoint: config.S3_ENDPOINT ?? null,
    publicEndpoint: config.S3_PUBLIC_ENDPOINT ?? null,
    pathStyle: config.S3_FORCE_PATH_STYLE,
    credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } : null,
  };
  const provisioning = {
    origins: config.CORS_ORIGINS ?? [new URL(publicUrl).origin],
    abandonedDays: Math.ceil(config.PENDING_TTL_SECONDS / DAY_SECONDS) + 1,
  };
  const s3 = openS3(options, { clock, provisioning });
  opened.push(s3);
  provisioned.push(s3.store);
  return { store: observedStore(s3.store, metrics), presigner: s3.presigner, endpoint: null };
}
