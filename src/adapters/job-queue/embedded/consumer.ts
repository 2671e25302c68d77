import type { Consumer, Delivery, Settlement } from '../../../ports/job-queue.ts';
import { type HeldJob, held, lose } from './held-jobs.ts';
import type { QueueCall } from './queue-call.ts';

/** How often to look for jobs that another process has published. */
const POLL_MS = 1000;
/** Before a job whose handler threw comes again. */
const THROWN_DELAY_MS = 500;

export interface EmbeddedConsumerOptions {
  call: QueueCall;
  clock: () => number;
  leaseMs: number;
  newId: () => string;
  handler: (delivery: Delivery) => Promise<Settlement>;
  concurrency: number;
}

/** Leases as many jobs as it has free places, and renews those leases while their handlers run. */
export class EmbeddedConsumer implements Consumer {
  readonly #options: EmbeddedConsumerOptions;
  /** The jobs in work, each with the promise that it is settled. */
  readonly #held = new Map<HeldJob, Promise<void>>();
  readonly #renewal: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  #filling: Promise<void> | null = null;
  #woken = false;
  #stopping: Promise<void> | null = null;

  constructor(options: EmbeddedConsumerOptions) {
    this.#options = options;
    this.#renewal = setInterval(() => this.#renew(), options.leaseMs / 3);
  }

  /** There may be jobs to take. */
  wake(): void {
    if (this.#stopping) return;
    this.#woken = true;
    if (this.#filling) return;
    clearTimeout(this.#timer);
    this.#filling = this.#fill().finally(() => {
      this.#filling = null;
      if (this.#woken) this.wake();
    });
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    clearTimeout(this.#timer);
    const grace = deadline(graceMs);
    await Promise.race([grace.passed, this.#settled()]);
    grace.cancel();
    await this.#filling;
    clearInterval(this.#renewal);
    await this.#giveUp([...this.#held.keys()]);
  }

  async #settled(): Promise<void> {
    await this.#filling;
    await Promise.all(this.#held.values());
  }

  /** Jobs still in work when the time is up: their handlers are told to stop, and others may have them at once. */
  async #giveUp(jobs: HeldJob[]): Promise<void> {
    const { call, clock } = this.#options;
    for (const job of jobs) lose(job);
    // A job that cannot be given back comes again when its lease ends.
    await Promise.allSettled(jobs.map(({ seq, lease }) => call('jobs.retry', seq, lease, clock())));
  }

  /** Takes jobs until there are none or no free place, then sleeps until the next one is due. */
  async #fill(): Promise<void> {
    let nextAt: number | null = null;
    try {
      while (this.#woken && !this.#stopping) {
        this.#woken = false;
        await this.#take(this.#options.concurrency - this.#held.size);
        if (this.#held.size < this.#options.concurrency) nextAt = await this.#options.call('jobs.nextAt');
      }
    } catch {
      // The database is away: the poll tries again.
    }
    if (this.#stopping || this.#held.size >= this.#options.concurrency) return;
    const wait = nextAt === null ? POLL_MS : Math.max(0, Math.min(POLL_MS, nextAt - this.#options.clock()));
    this.#timer = setTimeout(() => this.wake(), wait);
  }

  async #take(places: number): Promise<void> {
    if (places <= 0) return;
    const { call, clock, leaseMs, newId } = this.#options;
    const lease = newId();
    const now = clock();
    const jobs = await call('jobs.claim', lease, now, now + leaseMs, places);
    if (this.#stopping && jobs.length > 0) {
      await call('jobs.handBack', lease, clock());
      return;
    }
    for (const claimed of jobs) {
      const job = held(claimed, lease, now + leaseMs);
      this.#held.set(job, this.#work(job));
    }
  }

  async #work(job: HeldJob): Promise<void> {
    const settlement = await this.#handle(job);
    try {
      if (!job.lost.signal.aborted) await this.#settle(job, settlement);
    } catch {
      // The database is away: the lease ends, and the job comes again.
    }
    this.#held.delete(job);
    this.wake();
  }

  async #handle({ job, deliveries, lost }: HeldJob): Promise<Settlement> {
    try {
      return await this.#options.handler({ job, deliveries, signal: lost.signal });
    } catch {
      return { outcome: 'retry', delayMs: THROWN_DELAY_MS };
    }
  }

  async #settle({ seq, lease }: HeldJob, settlement: Settlement): Promise<void> {
    const { call, clock } = this.#options;
    if (settlement.outcome === 'done') await call('jobs.done', seq, lease);
    else if (settlement.outcome === 'retry') await call('jobs.retry', seq, lease, clock() + settlement.delayMs);
    else await call('jobs.die', seq, lease, clock(), settlement.reason);
  }

  async #renew(): Promise<void> {
    const jobs = [...this.#held.keys()].filter(({ lost }) => !lost.signal.aborted);
    if (jobs.length === 0) return;
    const { call, clock, leaseMs } = this.#options;
    const until = clock() + leaseMs;
    try {
      const kept = new Set(await call('jobs.renew', JSON.stringify(jobs.map(({ seq, lease }) => [seq, lease])), until));
      for (const job of jobs) {
        if (kept.has(job.seq)) job.leasedUntil = until;
        else if (this.#held.has(job)) lose(job);
      }
    } catch {
      for (const job of jobs) if (clock() > job.leasedUntil) lose(job);
    }
  }
}

function deadline(ms: number): { passed: Promise<void>; cancel: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return { passed: promise, cancel: () => clearTimeout(timer) };
}
