import { backoffMs } from '../core/backoff.ts';
import type { JobKind } from '../core/upload.ts';
import type { Platform } from '../platform.ts';
import type { Consumer, Delivery, Settlement } from '../ports/job-queue.ts';
import type { SpanAttributes } from '../ports/tracing.ts';
import { inSpan } from '../tracing.ts';
import type { JobHandler } from './job-handler.ts';

type WorkerParts = Pick<Platform, 'queue' | 'config' | 'metrics' | 'tracing' | 'log'> & { handlers: Readonly<Record<JobKind, JobHandler>> };

/** How long jobs that were cut off at the end of the grace period may take to hand back their uploads. */
const RELEASE_MS = 2000;

/** Takes jobs from the queue and hands each to the handler of its kind. */
export class Worker {
  readonly #parts: WorkerParts;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<Settlement>>();
  #consumer: Consumer | null = null;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  /** Throws `queue_unavailable` when the broker cannot be reached. */
  async start(): Promise<void> {
    const { queue, config, metrics } = this.#parts;
    this.#consumer ??= await queue.consume((delivery) => this.#carryOut(delivery), config.WORKER_CONCURRENCY);
    metrics.jobSlots.set(config.WORKER_CONCURRENCY);
  }

  /** Takes no new jobs and lets those begun finish; after `graceMs` they are cut off and hand their uploads back. */
  async stop(graceMs: number): Promise<void> {
    await this.#consumer?.stop(graceMs);
    this.#consumer = null;
    this.#parts.metrics.jobSlots.set(0);
    this.#stopping.abort(new Error('the worker is being stopped'));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, RELEASE_MS);
    });
    await Promise.race([Promise.allSettled(this.#running), late]);
    clearTimeout(timer);
  }

  async #carryOut(delivery: Delivery): Promise<Settlement> {
    const { metrics } = this.#parts;
    if (delivery.deliveries > 0) metrics.jobRedeliveries.inc();
    metrics.jobsInFlight.inc();
    const run = this.#traced(delivery);
    this.#running.add(run);
    try {
      const settlement = await run;
      metrics.jobs.inc({ outcome: settlement.outcome });
      return settlement;
    } finally {
      this.#running.delete(run);
      metrics.jobsInFlight.dec();
    }
  }

  #traced(delivery: Delivery): Promise<Settlement> {
    const { tracing, config } = this.#parts;
    const { job, deliveries } = delivery;
    const kind = job.kind in this.#parts.handlers ? job.kind : 'unknown';
    const attributes: SpanAttributes = {
      'messaging.system': config.RABBITMQ_URL ? 'rabbitmq' : 'windlass',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'jobs',
      'messaging.message.id': job.id,
      'windlass.upload.id': job.uploadId,
      'windlass.job.kind': kind,
      'windlass.job.deliveries': deliveries,
    };
    return inSpan(tracing, `process ${kind}`, { kind: 'consumer', parent: job.trace.traceparent, attributes }, async (span) => {
      const settlement = await this.#handle(delivery);
      span.set({ 'windlass.job.outcome': settlement.outcome });
      if (settlement.outcome !== 'done') span.fail(settlement.outcome);
      return settlement;
    });
  }

  /** Never throws: what a handler throws is a failure that may pass. */
  async #handle({ job, deliveries, signal }: Delivery): Promise<Settlement> {
    const { handlers, config, log } = this.#parts;
    const about = {
      jobId: job.id,
      kind: job.kind,
      uploadId: job.uploadId,
      requestId: job.trace.requestId,
      traceparent: job.trace.traceparent ?? undefined,
      deliveries,
    };
    const handler = Object.hasOwn(handlers, job.kind) ? handlers[job.kind] : null;
    if (!handler) {
      log.error(about, 'a job of a kind that this version does not know');
      return { outcome: 'dead', reason: `unknown kind: ${String(job.kind).slice(0, 40)}` };
    }
    try {
      const settlement = await handler(job, { deliveries, signal: AbortSignal.any([signal, this.#stopping.signal]) });
      log.debug({ ...about, ...settlement }, 'job settled');
      return settlement;
    } catch (error) {
      log.warn({ ...about, err: error }, 'a job ended with an error and will come again');
      return { outcome: 'retry', delayMs: backoffMs(deliveries + 1, config) };
    }
  }
}
