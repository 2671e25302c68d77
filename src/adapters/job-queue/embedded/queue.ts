import { WindlassError } from '../../../errors.ts';
import type { Consumer, DeadJob, Delivery, Job, JobQueue, QueueDepth, Settlement } from '../../../ports/job-queue.ts';
import type { Database } from '../../sqlite/database.ts';
import { EmbeddedConsumer } from './consumer.ts';
import { type QueueCall, queueCall } from './queue-call.ts';

export interface EmbeddedJobQueueOptions {
  /** Stays open when the queue is closed. */
  database: Database;
  /** Epoch ms. */
  clock: () => number;
  /** How long the jobs of a process that has died stay with it (milliseconds). */
  leaseMs: number;
  newId: () => string;
}

/** The job queue in SQLite: what stands for a broker when there is none. Several processes may share the file. */
export class EmbeddedJobQueue implements JobQueue {
  readonly #options: EmbeddedJobQueueOptions;
  readonly #call: QueueCall;
  readonly #consumers = new Set<EmbeddedConsumer>();
  #closed = false;

  constructor(options: EmbeddedJobQueueOptions) {
    this.#options = options;
    this.#call = queueCall(options.database);
  }

  async publish(job: Job, delayMs = 0): Promise<void> {
    this.#assertOpen();
    await this.#call('jobs.publish', job.id, job.uploadId, JSON.stringify(job), this.#options.clock() + delayMs);
    for (const consumer of this.#consumers) consumer.wake();
  }

  async consume(handler: (delivery: Delivery) => Promise<Settlement>, concurrency: number): Promise<Consumer> {
    this.#assertOpen();
    const { clock, leaseMs, newId } = this.#options;
    const consumer = new EmbeddedConsumer({ call: this.#call, clock, leaseMs, newId, handler, concurrency });
    this.#consumers.add(consumer);
    consumer.wake();
    return {
      stop: async (graceMs) => {
        await consumer.stop(graceMs);
        this.#consumers.delete(consumer);
        for (const other of this.#consumers) other.wake();
      },
    };
  }

  async depth(): Promise<QueueDepth> {
    const [ready = 0, delayed = 0, leased = 0, dead = 0] = (await this.#call('jobs.depth', this.#options.clock())) ?? [];
    return { ready, delayed, leased, dead };
  }

  async deadLetters(limit: number): Promise<DeadJob[]> {
    const rows = await this.#call('jobs.dead', limit);
    return rows.map(([doc, reason, diedAt]) => ({ job: JSON.parse(doc), reason, diedAt }));
  }

  async removeDead(uploadId: string): Promise<void> {
    await this.#call('jobs.removeDead', uploadId);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop(0)));
    this.#consumers.clear();
  }

  #assertOpen(): void {
    if (this.#closed) throw new WindlassError('queue_unavailable', 'The queue is closed.', { retryAfter: 1 });
  }
}
