import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import { Background } from './adapters/background/background.ts';
import { LocalDisk, type LocalDiskOptions } from './adapters/disk/local-disk.ts';
import { EmbeddedJobQueue } from './adapters/job-queue/embedded/queue.ts';
import { internalEndpoint } from './adapters/node-disks/endpoint.ts';
import { ServersDisks } from './adapters/node-disks/node-disks.ts';
import { openAgents } from './adapters/node-disks/peer.ts';
import { RemoteDisk } from './adapters/node-disks/remote-disk.ts';
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
import { openBody, openStream } from './http/receive/body.ts';
import { idSource } from './ids.ts';
import type { Metrics } from './metrics.ts';
import { observedStore } from './observed-store.ts';
import type { Platform, Ports } from './platform.ts';
import type { NodeDisk } from './ports/node-disks.ts';
import type { Provisioned, ProvisionStep } from './ports/provision.ts';
import { NO_TRACING, type Tracing } from './ports/tracing.ts';
import { tracedPorts } from './tracing.ts';
import { VERSION } from './version.ts';

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
  /** Whether it wants to hear of changes that other processes make: servers do, for those who wait. */
  listening: boolean;
}

/** Ports that one server or database stands behind, and so are opened together. */
interface Part<Opened> {
  ports: Opened;
  /** What has to be set up at its server. */
  provisioned: Provisioned[];
}

type Records = Pick<Ports, 'uploads' | 'resources' | 'idempotency' | 'leases' | 'nodes'>;
type Messages = Pick<Ports, 'queue' | 'events'>;
type Objects = Pick<Ports, 'store' | 'presigner'>;

/** The parts, each opened when it is asked for: a command that examines or sets them up goes on where one cannot be opened. */
export interface Parts extends Pick<Platform, 'config' | 'clock' | 'newId' | 'spool' | 'direct'> {
  records(): Promise<Part<Records>>;
  messages(): Promise<Part<Messages>>;
  objects(): Promise<Part<Objects> & { endpoint: Middleware | null }>;
  /** The spool of this server as others reach it at an address; null without INTERNAL_SECRET. */
  spoolAt(url: string): NodeDisk | null;
  /** Closes what was opened, the last first. */
  close(): Promise<void>;
}

interface Wiring extends WireOptions {
  clock: () => number;
  newId: () => string;
  /** What has been opened, in that order; closed the other way round. */
  opened: { close(): Promise<void> | void }[];
  /** For a folder of this server's disk. */
  onDisk: (root: string) => LocalDiskOptions;
  /** SQLite, opened by the first that needs it. */
  sqlite: () => Promise<Database>;
}

const once = <T>(open: () => Promise<T>): (() => Promise<T>) => {
  let opening: Promise<T> | null = null;
  return () => {
    opening ??= open();
    return opening;
  };
};

const clock = Date.now;
const newId = idSource(clock);

/**
 * Chooses an adapter for each port from the settings: the only file that knows them. The parts for production, and the
 * SDKs below them, are loaded only where they are chosen.
 */
export function partsOf(options: WireOptions): Parts {
  const { config } = options;
  const opened: Wiring['opened'] = [];
  const file = join(config.DATA_DIR, 'windlass.db');
  const background = new Background(config.MONGODB_URI && config.RABBITMQ_URL ? {} : { database: { file } });
  opened.push(background);
  const sqlite = once(() => openDatabase(file, background));
  const onDisk = (root: string): LocalDiskOptions => ({ root, minFreeBytes: config.MIN_FREE_BYTES, newId, background });
  const wiring: Wiring = { ...options, opened, clock, newId, sqlite, onDisk };
  return {
    config,
    clock,
    newId,
    spool: new LocalDisk(onDisk(config.SPOOL_DIR)),
    direct: new LocalDisk(onDisk(config.DIRECT_DIR)),
    records: once(() => (config.MONGODB_URI ? recordsInMongo(wiring, config.MONGODB_URI) : recordsInSqlite(wiring))),
    messages: once(() => (config.RABBITMQ_URL ? messagesInRabbit(wiring, config.RABBITMQ_URL) : messagesInSqlite(wiring))),
    objects: once(() => (config.S3_BUCKET ? objectsInS3(wiring, config.S3_BUCKET) : objectsOnDisk(wiring))),
    spoolAt: (url) => spoolAt(config, url),
    async close() {
      for (const part of opened.splice(0).reverse()) await part.close();
    },
  };
}

/** All parts at once. Throws when one cannot be opened, with none left open. */
export async function wire(options: WireOptions): Promise<Wired> {
  const parts = partsOf(options);
  try {
    return await wireParts(options, parts);
  } catch (error) {
    await parts.close();
    throw error;
  }
}

async function wireParts({ config, log, metrics }: WireOptions, parts: Parts): Promise<Wired> {
  const own = { spool: parts.spool, direct: parts.direct };
  const records = await parts.records();
  const messages = await parts.messages();
  const { endpoint, ...objects } = await parts.objects();

  const secret = config.INTERNAL_SECRET;
  const { NODE_NAME: node, SPOOL_SHARED: spoolIsShared, DIRECT_MEMBERS: listed = [] } = config;
  const directIsShared = config.DIRECT_PLACEMENT === 'shared';
  const disks = new ServersDisks({ node, ...own, spoolIsShared, directIsShared, listed, nodes: records.ports.nodes, secret, clock });
  const tracing = config.OTEL_EXPORTER_OTLP_ENDPOINT ? await openTracing(config, config.OTEL_EXPORTER_OTLP_ENDPOINT) : NO_TRACING;
  const database = config.MONGODB_URI ? 'mongodb' : 'sqlite';
  const ports = tracedPorts({ ...records.ports, ...messages.ports, ...objects.ports }, tracing, { database });
  const platform: Platform = { config, log, metrics, tracing, clock, newId, ...own, disks, ...ports };
  return {
    platform,
    storeEndpoint: endpoint,
    internalEndpoint:
      secret === undefined
        ? null
        : internalEndpoint({ node, ...own, secret, clock, maxReceiving: config.MAX_UPLOADS_IN_FLIGHT, openBody: openInternalBody }),
    async provision() {
      const steps: ProvisionStep[] = [];
      for (const { provisioned } of [records, messages, objects]) for (const part of provisioned) steps.push(...(await part.provision()));
      return steps;
    },
    async close() {
      disks.close();
      await parts.close();
      await tracing.close();
    },
  };
}

/** Its packages are loaded only here. */
async function openTracing(config: Config, endpoint: string): Promise<Tracing> {
  const { OtlpTracing } = await import('./adapters/tracing/otlp.ts');
  const { OTEL_SERVICE_NAME: serviceName, NODE_NAME: instance, OTEL_TRACES_SAMPLER_ARG: ratio } = config;
  return new OtlpTracing({ endpoint, serviceName, instance, ratio, version: VERSION });
}

/**
 * Another server sends what it has gathered of its client's body, which may be next to nothing for long: it is watched
 * there. Here only a sender that is gone without a word must be noticed.
 */
const SILENCE_MS = 24 * 3600_000;
const PROBE_MS = 15_000;

function openInternalBody(ctx: Context): Readable {
  ctx.req.socket.setKeepAlive(true, PROBE_MS);
  return openStream(ctx, { idleMs: SILENCE_MS, minBytesPerSecond: 0, clock });
}

function spoolAt({ INTERNAL_SECRET: secret, NODE_NAME: node }: Config, url: string): NodeDisk | null {
  if (secret === undefined) return null;
  return new RemoteDisk({ node, area: 'spool', address: async () => url, secret, clock, agents: openAgents() });
}

async function recordsInSqlite({ sqlite }: Wiring): Promise<Part<Records>> {
  const database = await sqlite();
  const ports = {
    uploads: new SqliteUploadRepository(database),
    resources: new SqliteResourceRepository(database),
    idempotency: new SqliteIdempotencyRepository(database),
    leases: new SqliteLeaseRepository(database),
    nodes: new SqliteNodeRepository(database),
  };
  return { ports, provisioned: [] };
}

async function recordsInMongo({ opened }: Wiring, uri: string): Promise<Part<Records>> {
  const { openMongoRecords } = await import('./adapters/records/mongo/open.ts');
  const mongo = await openMongoRecords(uri);
  opened.push(mongo);
  return { ports: mongo.records, provisioned: [mongo.indexes] };
}

async function messagesInSqlite({ config, clock, newId, sqlite, opened }: Wiring): Promise<Part<Messages>> {
  const queue = new EmbeddedJobQueue({ database: await sqlite(), clock, newId, leaseMs: config.LEASE_SECONDS * 1000 });
  opened.push(queue);
  return { ports: { queue, events: new InProcessUploadEvents() }, provisioned: [] };
}

async function messagesInRabbit(
  { config, log, publicUrl, patient, listening, clock, opened }: Wiring,
  url: string,
): Promise<Part<Messages>> {
  const { openRabbitMessages } = await import('./adapters/rabbitmq/open.ts');
  const { RABBITMQ_PREFIX: prefix, CONTENT_PUBLIC_URL: contentUrl = publicUrl } = config;
  const rabbit = await openRabbitMessages({ url, log, prefix, publicUrl, contentUrl, patient, listening, clock });
  opened.push(rabbit);
  const { queue, events } = rabbit;
  return { ports: { queue, events }, provisioned: [queue, events] };
}

async function objectsOnDisk({ config, metrics, publicUrl, clock, onDisk }: Wiring): ReturnType<Parts['objects']> {
  const store = new DiskObjectStore({ ...onDisk(join(config.DATA_DIR, 'store')), clock });
  const secret = config.LINK_SECRET ?? (await loadOrCreateSecret(join(config.DATA_DIR, 'secrets', 'link.key')));
  const presigner = new DiskPresigner({ secret, publicUrl });
  const limits = { idleMs: config.UPLOAD_IDLE_SECONDS * 1000, minBytesPerSecond: config.MIN_UPLOAD_BYTES_PER_SECOND, clock };
  const endpoint = storeEndpoint({ store, presigner, clock, open: (ctx) => openBody(ctx, limits) });
  return { ports: { store: observedStore(store, metrics), presigner }, provisioned: [], endpoint };
}

const DAY_SECONDS = 86_400;

async function objectsInS3({ config, metrics, publicUrl, clock, opened }: Wiring, bucket: string): ReturnType<Parts['objects']> {
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
  return { ports: { store: observedStore(s3.store, metrics), presigner: s3.presigner }, provisioned: [s3.store], endpoint: null };
}
