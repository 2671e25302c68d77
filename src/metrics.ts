import type { Role } from './config.ts';
import { STATES, STRATEGIES } from './core/upload.ts';
import { codeOf, ERRORS, isWindlassError } from './errors.ts';
import { MetricRegistry } from './metric-registry.ts';
import { MOVE_OUTCOMES } from './rebalance/mover.ts';
import { TenantLabel, type TenantLabelOptions } from './tenant-label.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];
const LAG_SECONDS = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400];
const SIZES = [1024, 16 * 1024, 256 * 1024, 1024 ** 2, 16 * 1024 ** 2, 128 * 1024 ** 2, 1024 ** 3, 10 * 1024 ** 3, 100 * 1024 ** 3];

/**
 * At the request: `accepted` (direct: `stored` at once), `rejected` (the client has to change something), `refused` (a
 * 5xx: the platform could not take it), `aborted` (the client went away). After acceptance, once more: `stored`,
 * `rejected` (presigned bytes are not what was declared) or `failed` (the platform gave up).
 */
const OUTCOMES = ['accepted', 'stored', 'rejected', 'refused', 'aborted', 'failed'] as const;
const JOB_OUTCOMES = ['done', 'retry', 'dead'] as const;
const BACKUP_OUTCOMES = ['made', 'failed'] as const;
const JOB_STAGES = ['put', 'verify', 'commit'] as const;
export type JobStage = (typeof JOB_STAGES)[number];
export const ORPHAN_KINDS = [
  'spool',
  'direct',
  'object',
  'backup',
  'staging',
  'multipart',
  'unfinished',
  'record',
  'missing_bytes',
] as const;

export const STORE_OPERATIONS = [
  'put',
  'head',
  'read',
  'freeze',
  'remove',
  'createMultipart',
  'listParts',
  'completeMultipart',
  'abortMultipart',
] as const;
/** Files up to this size are `putSmall`: how long those take says how quick the store is, and not how large files are. */
export const SMALL_PUT_BYTES = 1024 ** 2;
export const PUT_SMALL = 'putSmall';
/** `unavailable` is the store's fault; `error` that of the request (other bytes, a missing part); `aborted` was broken off by us. */
const STORE_OUTCOMES = ['ok', 'unavailable', 'error', 'aborted'] as const;
const DEPENDENCIES = ['database', 'broker', 'store'] as const;
export type Dependency = (typeof DEPENDENCIES)[number];
const PLACES = ['owner', 'other'] as const;
const QUEUE_STATES = ['ready', 'delayed', 'dead'] as const;

export interface MetricsOptions {
  /** What this process does, and so what it exports. */
  role?: Role;
  /** Null leaves tenants out. */
  tenants?: TenantLabelOptions | null;
}

/** Every metric of Windlass. Labels come from closed sets; ids, names and keys never become labels. */
export function createMetrics(version: string, { role = 'all', tenants = null }: MetricsOptions = {}) {
  const metrics = new MetricRegistry(role);
  const tenant: { tenant?: string } = tenants
    ? { tenant: `the tenants seen first, at most METRICS_MAX_TENANTS; then \`${TenantLabel.OTHER}\`` }
    : {};
  const all = {
    registry: metrics.registry,
    described: metrics.described,
    ...ofRequests(metrics, tenant as Record<'tenant', string>),
    ...ofUploads(metrics, tenant as Record<'tenant', string>),
    ...ofJobs(metrics),
    ...ofState(metrics),
  };
  all.buildInfo.set({ version, role }, 1);
  all.draining.set(0);
  if (role !== 'api') all.jobsInFlight.set(0);
  const tenantLabel = new TenantLabel(tenants, (seen) => {
    for (const strategy of STRATEGIES) {
      all.receivedBytes.inc({ strategy, tenant: seen }, 0);
      for (const outcome of OUTCOMES) all.uploads.inc({ strategy, outcome, tenant: seen }, 0);
    }
    all.rateLimited.inc({ tenant: seen }, 0);
  });
  /** The label of a tenant, empty unless they are switched on. */
  return { ...all, tenant: (name: string): { tenant?: string } => tenantLabel.of(name) };
}

export type Metrics = ReturnType<typeof createMetrics>;

function ofRequests(metrics: MetricRegistry, tenant: Record<'tenant', string>) {
  return {
    httpRequestDuration: metrics.histogram(
      'api',
      'windlass_http_request_duration_seconds',
      'Time from the first byte of a request to the end of its answer.',
      SECONDS,
      {
        route: 'template of the route (`/v1/uploads/{id}`), `/store/{key}`, `/internal/{key}`, or `none`',
        method: 'GET, HEAD, POST, PUT, DELETE, OPTIONS, `other`',
        status_class: '1xx to 5xx',
      },
    ),
    rejections: metrics.counter('api', 'windlass_rejections_total', 'Requests that were refused, by error code.', {
      reason: Object.keys(ERRORS),
    }),
    rateLimited: metrics.counter('api', 'windlass_rate_limited_total', 'Requests answered 429 because their tenant made too many.', tenant),
    uploadsInFlight: withZeroes(metrics.gauge('api', 'windlass_uploads_in_flight', 'Bodies being received.', { strategy: STRATEGIES })),
    receivedBytes: metrics.counter('api', 'windlass_received_bytes_total', 'Bytes of files received by this server.', {
      strategy: STRATEGIES,
      ...tenant,
    }),
    uploadSize: metrics.histogram('api', 'windlass_upload_size_bytes', 'Size of uploads when they are accepted.', SIZES, {
      strategy: STRATEGIES,
    }),
  };
}

function ofUploads(metrics: MetricRegistry, tenant: Record<'tenant', string>) {
  return {
    uploads: metrics.counter(
      'both',
      'windlass_uploads_total',
      'Uploads by how their request ended and, after acceptance, by how they ended.',
      { strategy: STRATEGIES, outcome: OUTCOMES, ...tenant },
    ),
    transitions: metrics.counter('both', 'windlass_upload_transitions_total', 'Changes of state.', { state: STATES }),
    directPlaced: metrics.counter(
      'api',
      'windlass_direct_placed_total',
      'Direct files by where they were put: with their owner, or with another server because that was away or full.',
      { at: PLACES },
    ),
    rebalanceFiles: metrics.counter(
      'api',
      'windlass_rebalance_files_total',
      'Direct files that were to be moved to another server, by how that ended.',
      { outcome: MOVE_OUTCOMES },
    ),
    rebalanceBytes: metrics.counter('api', 'windlass_rebalance_bytes_total', 'Bytes of direct files that were moved to another server.'),
    misplacedFiles: metrics.gauge(
      'api',
      'windlass_misplaced_files',
      'Direct files on this server that belong on another, as of the last look.',
    ),
    acceptedToStored: metrics.histogram(
      'both',
      'windlass_accepted_to_stored_seconds',
      'Time from acceptance (for presign: from completion) to stored.',
      LAG_SECONDS,
      { strategy: STRATEGIES },
    ),
    orphansFound: metrics.counter(
      'api',
      'windlass_orphans_found_total',
      'Things the reconciler found that no record owns, or the reverse.',
      { kind: ORPHAN_KINDS },
    ),
    orphansRemoved: metrics.counter('api', 'windlass_orphans_removed_total', 'Things the reconciler removed or put right.', {
      kind: ORPHAN_KINDS,
    }),
  };
}

function ofJobs(metrics: MetricRegistry) {
  return {
    jobs: metrics.counter('relay', 'windlass_jobs_total', 'Jobs that were settled.', { outcome: JOB_OUTCOMES }),
    jobsInFlight: metrics.gauge('relay', 'windlass_jobs_in_flight', 'Jobs being carried out.'),
    jobSlots: metrics.gauge('relay', 'windlass_job_slots', 'Jobs that this worker carries out at once, at most.'),
    jobDuration: metrics.histogram('relay', 'windlass_job_duration_seconds', 'Time that a stage of a job took.', SECONDS, {
      stage: JOB_STAGES,
    }),
    jobRedeliveries: metrics.counter('relay', 'windlass_job_redeliveries_total', 'Jobs that arrived more than once.'),
    backups: metrics.counter('relay', 'windlass_backups_total', 'Direct files that were copied to the object store, or given up.', {
      outcome: BACKUP_OUTCOMES,
    }),
    backupsDue: metrics.gauge('api', 'windlass_backups_due', 'Direct files whose copy in the object store is asked for and not there yet.'),
    backupsOldest: metrics.gauge('api', 'windlass_backups_oldest_seconds', 'How long the oldest of those has been asked for.'),
    backupReads: metrics.counter(
      'api',
      'windlass_backup_reads_total',
      'Reads of direct files that were answered from the object store, because a server was away or its bytes were not there.',
    ),
    queueJobs: metrics.gauge('api', 'windlass_queue_jobs', 'Jobs in the queue: to be taken, waiting for their next try, or given up.', {
      state: QUEUE_STATES,
    }),
    outboxMessages: metrics.gauge('api', 'windlass_outbox_messages', 'Messages written but not yet published.'),
    outboxOldest: metrics.gauge('api', 'windlass_outbox_oldest_seconds', 'Age of the oldest message not yet published.'),
    queuedOldest: metrics.gauge('api', 'windlass_queued_oldest_seconds', 'Age of the oldest upload that waits for a worker.'),
  };
}

function ofState(metrics: MetricRegistry) {
  return {
    spoolBytes: metrics.gauge('api', 'windlass_spool_bytes', 'Bytes in use on the file system of the spool.'),
    spoolCapacity: metrics.gauge('api', 'windlass_spool_capacity_bytes', 'Size of the file system of the spool.'),
    storeRequestDuration: metrics.histogram(
      'both',
      'windlass_store_request_duration_seconds',
      'Time that a call to the object store took. `putSmall` is a file of at most 1 MiB.',
      SECONDS,
      { operation: [...STORE_OPERATIONS, PUT_SMALL], outcome: STORE_OUTCOMES },
    ),
    dependencyUp: metrics.gauge('both', 'windlass_dependency_up', '1 when the last call to the dependency went well.', {
      dependency: DEPENDENCIES,
    }),
    draining: metrics.gauge('both', 'windlass_draining', '1 from SIGTERM on.'),
    buildInfo: metrics.gauge('both', 'windlass_build_info', 'Always 1; the labels are the version and what the process does.', {
      version: 'the version',
      role: '`api`, `relay` or `all`',
    }),
  };
}

function withZeroes<G extends { set(labels: { strategy: string }, value: number): void }>(gauge: G): G {
  for (const strategy of STRATEGIES) gauge.set({ strategy }, 0);
  return gauge;
}

/** How a request that was not accepted counts: only a 5xx is the platform's own doing. */
export function outcomeOfRefusal(error: unknown): 'rejected' | 'refused' | 'aborted' {
  if (codeOf(error) === 'aborted') return 'aborted';
  return isWindlassError(error) && error.status < 500 ? 'rejected' : 'refused';
}
