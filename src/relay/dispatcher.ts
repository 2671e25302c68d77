import type { OutboxMessage, Upload, UploadSnapshot } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import type { Platform } from '../platform.ts';
import type { SpanAttributes } from '../ports/tracing.ts';
import { inSpan } from '../tracing.ts';
import { Removals } from './removals.ts';

type DispatcherParts = Pick<
  Platform,
  'uploads' | 'leases' | 'queue' | 'events' | 'metrics' | 'tracing' | 'log' | 'clock' | 'config' | 'newId'
>;

/** Uploads published at the same time, and those that may wait for that; what is beyond is left to the sweep. */
const CONCURRENCY = 32;
const MAX_WAITING = 5000;
const PAGE = 100;
/** Of all processes one sweeps; when it is gone another one does after so many intervals. */
const LEASE = 'outbox sweep';
const LEASE_INTERVALS = 3;
/** Messages younger than this are most likely being published by whoever wrote them. Milliseconds. */
const SWEEP_AGE_MS = 1500;
const MAX_PAUSE_MS = 10_000;
/** Records that a single sweep steps over because a message of theirs fails, before it gives up until the next one. */
const MAX_STUCK = 1000;

interface Waiting {
  upload: UploadSnapshot;
  messages: Map<string, OutboxMessage>;
}

/**
 * Publishes the messages that changes of state left in their records, and takes out those that are published. At least
 * once: a crash between the two publishes again. What cannot be published stays in the record, and the sweep tries
 * again. While the broker is away the sweep knocks, ever more slowly, and in each process one new job now and then: only
 * one of all processes sweeps, and the others have to notice, too, that the broker is back.
 */
export class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #waiting = new Map<string, Waiting>();
  readonly #running = new Map<string, Promise<boolean>>();
  readonly #removals: Removals;
  #queueUp = true;
  #failedSweeps = 0;
  /** When a new job may knock, while the broker is away; epoch ms. */
  #knockAt = 0;
  #sweeping: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  /** The queue came back while a sweep was under way, which may have given up before. */
  #backInSweep = false;
  #stopped = false;
  readonly #holder: string;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#holder = parts.newId();
    this.#removals = new Removals(parts);
    parts.metrics.dependencyUp.set({ dependency: 'broker' }, 1);
  }

  /** Publishes soon. Never throws and never blocks; messages of one upload are published one after the other. */
  dispatch(upload: Upload): void {
    if (this.#stopped || upload.outbox.length === 0) return;
    const waiting = this.#waiting.get(upload.id);
    if (waiting) {
      waiting.upload = upload;
      for (const message of upload.outbox) waiting.messages.set(message.id, message);
      return;
    }
    if (this.#waiting.size >= MAX_WAITING) return;
    this.#waiting.set(upload.id, { upload, messages: new Map(upload.outbox.map((message) => [message.id, message])) });
    this.#fill();
  }

  /** Looks for messages left behind, now and every OUTBOX_INTERVAL_SECONDS. */
  start(): void {
    this.#stopped = false;
    this.#schedule(0);
  }

  /** Takes nothing new and resolves when everything under way is published or has failed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#sweeping;
    await this.#parts.leases.release(LEASE, this.#holder).catch(() => undefined);
    while (this.#running.size > 0) await Promise.all(this.#running.values());
    await this.#removals.flush();
  }

  /** Publishes what records still hold from before `before` (epoch ms). Resolves when all of it was tried once; never throws. */
  async sweep(before = this.#parts.clock() - SWEEP_AGE_MS): Promise<void> {
    const { uploads, log } = this.#parts;
    const stuck = new Set<string>();
    let knocked = this.#queueUp;
    try {
      while (stuck.size < MAX_STUCK) {
        const page = (await uploads.undelivered(before, PAGE + stuck.size)).filter(({ id }) => !stuck.has(id));
        if (page.length === 0) break;
        // One job is enough to know whether the broker is back.
        const knock = knocked ? -1 : page.findIndex(({ outbox }) => outbox.some(({ kind }) => kind === 'job'));
        const batch = knock < 0 ? page : page.slice(knock, knock + 1);
        const published = await this.#publishBatch(batch);
        batch.forEach(({ id }, index) => {
          if (!published[index]) stuck.add(id);
        });
        if (knock >= 0 || knocked) {
          if (!this.#queueUp) break;
          knocked = true;
        }
      }
    } catch (error) {
      log.warn({ err: error }, 'could not look for undelivered messages');
    }
    this.#failedSweeps = this.#queueUp ? 0 : this.#failedSweeps + 1;
  }

  /** In portions: after an outage there are many, and the database has others to serve. */
  async #publishBatch(batch: readonly Upload[]): Promise<boolean[]> {
    const published: boolean[] = [];
    for (let from = 0; from < batch.length; from += CONCURRENCY) {
      const portion = batch.slice(from, from + CONCURRENCY);
      published.push(...(await Promise.all(portion.map((upload) => this.#publishAll(upload, [...upload.outbox], true)))));
    }
    return published;
  }

  async #sweepInTurn(): Promise<void> {
    const { leases, clock, log } = this.#parts;
    const until = clock() + LEASE_INTERVALS * this.#pauseMs();
    try {
      if (!(await leases.acquire(LEASE, this.#holder, clock(), until))) return;
    } catch (error) {
      return log.warn({ err: error }, 'could not look for undelivered messages');
    }
    await this.sweep();
  }

  #schedule(ms: number): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      this.#timer = null;
      this.#backInSweep = false;
      this.#sweeping = this.#sweepInTurn();
      await this.#sweeping;
      if (!this.#stopped) this.#schedule(this.#backInSweep ? 0 : this.#pauseMs());
    }, ms);
  }

  #pauseMs(): number {
    const interval = this.#intervalMs;
    return Math.max(interval, Math.min(interval * 2 ** Math.min(this.#failedSweeps - 1, 10), MAX_PAUSE_MS));
  }

  get #intervalMs(): number {
    return this.#parts.config.OUTBOX_INTERVAL_SECONDS * 1000;
  }

  #fill(): void {
    for (const [id, { upload, messages }] of this.#waiting) {
      if (this.#running.size >= CONCURRENCY) return;
      if (this.#running.has(id)) continue;
      this.#waiting.delete(id);
      const run = this.#publishAll(upload, [...messages.values()], false).finally(() => {
        this.#running.delete(id);
        this.#fill();
      });
      this.#running.set(id, run);
    }
  }

  /** True when every message was published and taken out. Jobs go first: nobody but the sweep would make up for one. */
  async #publishAll(upload: UploadSnapshot, messages: OutboxMessage[], knock: boolean): Promise<boolean> {
    const jobs = messages.filter(({ kind }) => kind === 'job');
    const events = messages.filter(({ kind }) => kind === 'event');
    const published: string[] = [];
    for (const message of [...jobs, ...events]) if (await this.#publish(upload, message, knock)) published.push(message.id);
    if (published.length === 0) return messages.length === 0;
    if (upload.lease && !knock) this.#removals.later(upload.id, published);
    else if (!(await this.#removals.now(upload.id, published))) return false;
    return published.length === messages.length;
  }

  async #publish(upload: UploadSnapshot, message: OutboxMessage, knock: boolean): Promise<boolean> {
    const { events, log } = this.#parts;
    try {
      if (message.kind === 'event') {
        await events.publish({ id: message.id, type: message.type, at: message.at, upload: message.upload });
        return true;
      }
      if (!this.#queueUp && !knock && !this.#mayKnock()) return false;
      await this.#publishJob(upload, message);
      this.#sawQueue(true);
      return true;
    } catch (error) {
      if (message.kind === 'job' && codeOf(error) === 'queue_unavailable') this.#sawQueue(false, error);
      else log.warn({ err: error, uploadId: upload.id, kind: message.kind }, 'a message could not be published; it stays in its record');
      return false;
    }
  }

  /** The job belongs to the trace of the request that made the upload, whoever publishes it, and whenever. */
  #publishJob({ id: uploadId, trace }: UploadSnapshot, { id, job: kind }: Extract<OutboxMessage, { kind: 'job' }>): Promise<void> {
    const { queue, tracing, config } = this.#parts;
    const attributes: SpanAttributes = {
      'messaging.system': config.RABBITMQ_URL ? 'rabbitmq' : 'windlass',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'jobs',
      'messaging.message.id': id,
      'windlass.upload.id': uploadId,
      'windlass.job.kind': kind,
    };
    return inSpan(tracing, `send ${kind}`, { kind: 'producer', parent: trace.traceparent, attributes }, (span) =>
      queue.publish({ id, kind, uploadId, trace: span.traceparent ? { ...trace, traceparent: span.traceparent } : trace }),
    );
  }

  #mayKnock(): boolean {
    const now = this.#parts.clock();
    if (now < this.#knockAt) return false;
    this.#knockAt = now + this.#intervalMs;
    return true;
  }

  #sawQueue(up: boolean, error?: unknown): void {
    if (up === this.#queueUp) return;
    this.#queueUp = up;
    this.#parts.metrics.dependencyUp.set({ dependency: 'broker' }, up ? 1 : 0);
    if (up) {
      this.#parts.log.info('the queue is back');
      // What has waited need not wait for the pause to end.
      this.#backInSweep = true;
      if (this.#timer) this.#schedule(0);
      return;
    }
    this.#knockAt = this.#parts.clock() + this.#intervalMs;
    this.#parts.log.warn({ err: error }, 'the queue is away; jobs wait in their records');
  }
}
