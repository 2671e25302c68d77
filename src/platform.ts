import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';
import type { Disk } from './ports/disk.ts';
import type { IdempotencyRepository } from './ports/idempotency-repository.ts';
import type { JobQueue } from './ports/job-queue.ts';
import type { LeaseRepository } from './ports/lease-repository.ts';
import type { NodeDisks } from './ports/node-disks.ts';
import type { NodeRepository } from './ports/node-repository.ts';
import type { ObjectStore } from './ports/object-store.ts';
import type { Presigner } from './ports/presigner.ts';
import type { ResourceRepository } from './ports/resource-repository.ts';
import type { Tracing } from './ports/tracing.ts';
import type { UploadEvents } from './ports/upload-events.ts';
import type { UploadRepository } from './ports/upload-repository.ts';

/** The parts that wire.ts chooses: one adapter for each port. */
export interface Ports {
  uploads: UploadRepository;
  resources: ResourceRepository;
  idempotency: IdempotencyRepository;
  leases: LeaseRepository;
  queue: JobQueue;
  events: UploadEvents;
  store: ObjectStore;
  presigner: Presigner;
  /** Accepted uploads that wait for the relay, on this server. */
  spool: Disk;
  /** Direct uploads on this server. */
  direct: Disk;
  /** The same of every server, as far as others may use them. */
  disks: NodeDisks;
  nodes: NodeRepository;
}

/** What everything above the ports works with. Classes take the part they need, as `Pick<Platform, …>`. */
export interface Platform extends Ports {
  config: Config;
  log: Logger;
  metrics: Metrics;
  tracing: Tracing;
  /** Epoch ms. */
  clock: () => number;
  /** UUIDv7. */
  newId: () => string;
}
