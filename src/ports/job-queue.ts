import type { JobKind, Trace } from '../core/upload.ts';

/** A reference to work on an upload, never its bytes. Unknown members are kept, so that versions N and N+1 can share a queue. */
export interface Job {
  /** Id of the outbox message that it comes from; the same job may arrive more than once. */
  id: string;
  kind: JobKind;
  uploadId: string;
  trace: Trace;
}

export interface Delivery {
  job: Job;
  /** How often this job was handed out before, retries and lost leases together. */
  deliveries: number;
  /** Aborted when the lease on the job is lost: somebody else may have it now. */
  signal: AbortSignal;
}

/** What becomes of a job. `retry` brings it back after a delay, `dead` puts it where `deadLetters` finds it. */
export type Settlement = { outcome: 'done' } | { outcome: 'retry'; delayMs: number } | { outcome: 'dead'; reason: string };

export interface Consumer {
  /** Takes no new jobs, hands back those not begun, and resolves when those begun are settled or `graceMs` has passed. */
  stop(graceMs: number): Promise<void>;
}

export interface QueueDepth {
  ready: number;
  delayed: number;
  /** Null where the broker does not tell. */
  leased: number | null;
  dead: number;
}

export interface DeadJob {
  job: Job;
  reason: string;
  /** Epoch ms. */
  diedAt: number;
}

/**
 * Durable work, delivered at least once. Failure contract: `queue_unavailable` when the broker does not take the job.
 * A handler that throws counts as a retry after a short delay; a process that dies loses its leases and its jobs come again.
 */
export interface JobQueue {
  /** Resolves when the job is safe on disk (or confirmed by the broker). The same job id again is the same job. */
  publish(job: Job, delayMs?: number): Promise<void>;
  /** At most `concurrency` jobs are handed out at once. */
  consume(handler: (delivery: Delivery) => Promise<Settlement>, concurrency: number): Promise<Consumer>;
  depth(): Promise<QueueDepth>;
  /** Oldest first. */
  deadLetters(limit: number): Promise<DeadJob[]>;
  /** Forgets a dead job, when its upload is tried again or deleted. Idempotent. */
  removeDead(uploadId: string): Promise<void>;
  close(): Promise<void>;
}

/** A queue at a broker, where the way there and back can be tried without a job. */
export interface TriedQueue {
  /** Sends a message that nobody else gets to see, and fetches it. Throws `queue_unavailable`. */
  tryRoundTrip(): Promise<void>;
}

export const isTriedQueue = (queue: object): queue is TriedQueue => 'tryRoundTrip' in queue;
