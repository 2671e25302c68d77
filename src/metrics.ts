import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { STATES, STRATEGIES } from './core/upload.ts';
import { ERRORS } from './errors.ts';
import { MOVE_OUTCOMES } from './rebalance/mover.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];
const LAG_SECONDS = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400];
const SIZES = [1024, 16 * 1024, 256 * 1024, 1024 ** 2, 16 * 1024 ** 2, 128 * 1024 ** 2, 1024 ** 3, 10 * 1024 ** 3, 100 * 1024 ** 3];

const OUTCOMES = ['accepted', 'stored', 'rejected', 'aborted', 'failed'] as const;
const JOB_OUTCOMES = ['done', 'retry', 'dead'] as const;
export const ORPHAN_KINDS = ['spool', 'direct', 'object', 'staging', 'multipart', 'unfinished', 'record', 'missing_bytes'] as const;

/** Every metric of Windlass. Labels come from closed sets; ids, names and keys never become labels. */
export function createMetrics(version: string) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter<L>({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) => new Gauge<L>({ name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
    new Histogram<L>({ name, help, labelNames, buckets, registers });

  const metrics = {
    registry,
    httpRequestDuration: histogram(
      'windlass_http_request_duration_seconds',
      'Time from the first byte of a request to the end of its answer.',
      SECONDS,
      'route',
      'method',
      'status_class',
    ),
    uploadsInFlight: gauge('windlass_uploads_in_flight', 'Bodies being received.', 'strategy'),
    receivedBytes: counter('windlass_received_bytes_total', 'Bytes of files received by this server.', 'strategy'),
    uploadSize: histogram('windlass_upload_size_bytes', 'Size of uploads when they are accepted.', SIZES, 'strategy'),
    uploads: counter('windlass_uploads_total', 'Upload requests by how they ended.', 'strategy', 'outcome'),
    rejections: counter('windlass_rejections_total', 'Requests that were refused, by error code.', 'reason'),
    directPlaced: counter(
      'windlass_direct_placed_total',
      'Direct files by where they were put: with their owner, or with another server because that was away or full.',
      'at',
    ),
    transitions: counter('windlass_upload_transitions_total', 'Changes of state.', 'state'),
    acceptedToStored: histogram(
      'windlass_accepted_to_stored_seconds',
      'Time from acceptance (for presign: from completion) to stored.',
      LAG_SECONDS,
      'strategy',
    ),
    jobs: counter('windlass_jobs_total', 'Jobs that were settled.', 'outcome'),
    jobsInFlight: gauge('windlass_jobs_in_flight', 'Jobs being carried out.'),
    jobDuration: histogram('windlass_job_duration_seconds', 'Time that a stage of a job took.', SECONDS, 'stage'),
    jobRedeliveries: counter('windlass_job_redeliveries_total', 'Jobs that arrived more than once.'),
    outboxMessages: gauge('windlass_outbox_messages', 'Messages written but not yet published.'),
    outboxOldest: gauge('windlass_outbox_oldest_seconds', 'Age of the oldest message not yet published.'),
    queuedOldest: gauge('windlass_queued_oldest_seconds', 'Age of the oldest upload that waits for a worker.'),
    rebalanceFiles: counter(
      'windlass_rebalance_files_total',
      'Direct files that were to be moved to another server, by how that ended.',
      'outcome',
    ),
    rebalanceBytes: counter('windlass_rebalance_bytes_total', 'Bytes of direct files that were moved to another server.'),
    misplacedFiles: gauge('windlass_misplaced_files', 'Direct files on this server that belong on another, as of the last look.'),
    spoolBytes: gauge('windlass_spool_bytes', 'Bytes in use on the file system of the spool.'),
    spoolCapacity: gauge('windlass_spool_capacity_bytes', 'Size of the file system of the spool.'),
    orphansFound: counter('windlass_orphans_found_total', 'Things the reconciler found that no record owns, or the reverse.', 'kind'),
    orphansRemoved: counter('windlass_orphans_removed_total', 'Things the reconciler removed or put right.', 'kind'),
    storeRequestDuration: histogram(
      'windlass_store_request_duration_seconds',
      'Time that a call to the object store took.',
      SECONDS,
      'operation',
      'outcome',
    ),
    dependencyUp: gauge('windlass_dependency_up', '1 when the last call to the dependency went well.', 'dependency'),
    draining: gauge('windlass_draining', '1 from SIGTERM on.'),
    buildInfo: gauge('windlass_build_info', 'Always 1; the label is the version.', 'version'),
  };

  metrics.buildInfo.set({ version }, 1);
  metrics.draining.set(0);
  for (const strategy of STRATEGIES) {
    metrics.uploadsInFlight.set({ strategy }, 0);
    metrics.receivedBytes.inc({ strategy }, 0);
    metrics.acceptedToStored.zero({ strategy });
    metrics.uploadSize.zero({ strategy });
    for (const outcome of OUTCOMES) metrics.uploads.inc({ strategy, outcome }, 0);
  }
  for (const reason of Object.keys(ERRORS)) metrics.rejections.inc({ reason }, 0);
  for (const outcome of MOVE_OUTCOMES) metrics.rebalanceFiles.inc({ outcome }, 0);
  for (const at of ['owner', 'other']) metrics.directPlaced.inc({ at }, 0);
  for (const state of STATES) metrics.transitions.inc({ state }, 0);
  for (const outcome of JOB_OUTCOMES) metrics.jobs.inc({ outcome }, 0);
  for (const kind of ORPHAN_KINDS) {
    metrics.orphansFound.inc({ kind }, 0);
    metrics.orphansRemoved.inc({ kind }, 0);
  }
  return metrics;
}

export type Metrics = ReturnType<typeof createMetrics>;
