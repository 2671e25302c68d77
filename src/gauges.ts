import type { Dependency, Metrics } from './metrics.ts';
import type { Platform } from './platform.ts';

type GaugeParts = Pick<Platform, 'uploads' | 'queue' | 'store' | 'spool' | 'metrics' | 'clock'>;

/** Readings closer together than this are answered with the same values: several may read, and each costs queries. */
const FRESH_MS = 4000;
/** What has not answered by then counts as away; shorter than what Prometheus waits for a scrape. */
const PATIENCE_MS = 4000;
/** The store is asked by itself only when nobody else has asked for so long: each request may be paid for. */
const STORE_IDLE_MS = 60_000;
/** A key that no upload has: the answer is that it is not there. */
const PROBED_KEY = 'files/probe';

/**
 * The gauges that describe a state, not an event, brought up to date when metrics are read. What cannot be found out is
 * taken out rather than left as it was: an old value would look like a healthy one.
 */
export class Gauges {
  readonly #parts: GaugeParts;
  readonly #servesApi: boolean;
  #refreshed: Promise<void> = Promise.resolve();
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #storeCalls = -1;
  #storeCalledAt = Number.NEGATIVE_INFINITY;

  /** Only servers tell about backlog and spool, which all of them see alike or which are their own. */
  constructor(parts: GaugeParts, { servesApi }: { servesApi: boolean }) {
    this.#parts = parts;
    this.#servesApi = servesApi;
  }

  /** Never throws. */
  refresh(): Promise<void> {
    const now = this.#parts.clock();
    if (now - this.#refreshedAt >= FRESH_MS) {
      this.#refreshedAt = now;
      this.#refreshed = Promise.all([this.#database(), this.#broker(), this.#store(), this.#spool()]).then(() => undefined);
    }
    return this.#refreshed;
  }

  async #database(): Promise<void> {
    const { uploads, metrics, clock } = this.#parts;
    if (!this.#servesApi) return void (await this.#ask('database', () => uploads.ping()));
    const backlog = await this.#ask('database', () => uploads.backlog());
    const age = (at: number | null): number => (at === null ? 0 : Math.max(0, clock() - at) / 1000);
    setOrRemove(metrics.outboxMessages, backlog?.outboxMessages);
    setOrRemove(metrics.outboxOldest, backlog && age(backlog.outboxOldestAt));
    setOrRemove(metrics.backupsDue, backlog?.backupsDue);
    setOrRemove(metrics.backupsOldest, backlog && age(backlog.backupsOldestAt));
    setOrRemove(metrics.queuedOldest, backlog && age(backlog.queuedOldestAt));
  }

  async #broker(): Promise<void> {
    const { queue, metrics } = this.#parts;
    const depth = await this.#ask('broker', () => queue.depth());
    if (!this.#servesApi) return;
    metrics.queueJobs.reset();
    if (depth) for (const state of ['ready', 'delayed', 'dead'] as const) metrics.queueJobs.set({ state }, depth[state]);
  }

  async #store(): Promise<void> {
    const { store, metrics, clock } = this.#parts;
    const calls = await callsOf(metrics);
    if (calls !== this.#storeCalls) this.#storeCalledAt = clock();
    this.#storeCalls = calls;
    const up = (await metrics.dependencyUp.get()).values.find(({ labels }) => labels.dependency === 'store')?.value;
    if (up === 1 && clock() - this.#storeCalledAt < STORE_IDLE_MS) return;
    await this.#ask('store', () => store.head(PROBED_KEY));
    this.#storeCalledAt = clock();
    // Its own question is none of somebody else's.
    this.#storeCalls = await callsOf(metrics);
  }

  async #spool(): Promise<void> {
    if (!this.#servesApi) return;
    const { spool, metrics } = this.#parts;
    const space = await spool.space().catch(() => null);
    setOrRemove(metrics.spoolCapacity, space?.capacityBytes);
    setOrRemove(metrics.spoolBytes, space && space.capacityBytes - space.freeBytes);
  }

  /** The answer, or null when there is none; either is noted. */
  async #ask<T>(dependency: Dependency, question: () => Promise<T>): Promise<T | null> {
    const late = new AbortController();
    try {
      const answer = await Promise.race([question(), patience(late.signal)]);
      this.#parts.metrics.dependencyUp.set({ dependency }, 1);
      return answer;
    } catch {
      this.#parts.metrics.dependencyUp.set({ dependency }, 0);
      return null;
    } finally {
      late.abort();
    }
  }
}

function patience(over: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer')), PATIENCE_MS);
    over.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}

async function callsOf({ storeRequestDuration }: Metrics): Promise<number> {
  const { values } = await storeRequestDuration.get();
  return values.reduce((sum, { metricName, value }) => (metricName?.endsWith('_count') ? sum + value : sum), 0);
}

function setOrRemove(gauge: Metrics['outboxMessages'], value: number | null | undefined): void {
  if (value === null || value === undefined) gauge.remove();
  else gauge.set(value);
}
