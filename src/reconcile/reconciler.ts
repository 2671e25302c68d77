import { ORPHAN_KINDS } from '../metrics.ts';
import { checkBytes } from './check-bytes.ts';
import { expirePending } from './expire-pending.ts';
import { finishIntents } from './finish-intents.ts';
import { removeOrphans } from './remove-orphans.ts';
import { requeueAbandoned, requeueQueued } from './requeue-lost.ts';
import { forgetIdempotencyKeys, purgeRecords, retireFailed } from './retire-records.ts';
import { sweepUnfinished } from './sweep-unfinished.ts';
import type { OrphanKind, ReconcileParts, Task, TaskContext } from './task.ts';

export interface ReconcileOptions {
  /** Changes nothing, only counts what would be. */
  dryRun?: boolean;
  /** Looks at the bytes of every stored upload, not only at the next portion. */
  everything?: boolean;
  /** Epoch ms; the clock's by default. */
  now?: number;
}

export interface TaskReport {
  task: string;
  found: number;
  removed: number;
  /** What kept the task from going on; null when it came to its end. */
  error: string | null;
}

export interface ReconcileReport {
  dryRun: boolean;
  startedAt: string;
  tasks: TaskReport[];
  found: Record<OrphanKind, number>;
  removed: Record<OrphanKind, number>;
  /** Keys that Windlass did not make: the first hundred. */
  foreign: string[];
}

const LEASE = 'reconciler';
const FIRST_RUN_MS = 5000;
const PORTION = 2000;
const FOREIGN_LISTED = 100;

/** What belongs to records comes before what looks for bytes without one, so that one run finds what it has just set free. */
const TASKS: readonly [name: string, task: Task][] = [
  ['purge records', purgeRecords],
  ['expire pending uploads', expirePending],
  ['requeue waiting uploads', requeueQueued],
  ['requeue abandoned uploads', requeueAbandoned],
  ['finish resource links', finishIntents],
  ['give up failed uploads', retireFailed],
  ['forget idempotency keys', forgetIdempotencyKeys],
  ['remove unfinished files', sweepUnfinished],
  ['remove spooled files', removeOrphans('spool')],
  ['remove direct files', removeOrphans('direct')],
  ['remove objects', removeOrphans('object')],
  ['remove staged objects', removeOrphans('staging')],
  ['abort multipart uploads', removeOrphans('multipart')],
];

/**
 * Compares records, spool, disk and store, and puts right what crashes, outages and clients that went away have left.
 * One at a time, by a lease; every task can be repeated, and none depends on another having gone well.
 */
export class Reconciler {
  readonly #parts: ReconcileParts;
  #checkedUpTo: string | undefined;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<unknown> = Promise.resolve();
  #stopping = new AbortController();

  constructor(parts: ReconcileParts) {
    this.#parts = parts;
  }

  /** Runs soon, and then every RECONCILE_INTERVAL_SECONDS; never when that is 0. */
  start(): void {
    const intervalMs = this.#parts.config.RECONCILE_INTERVAL_SECONDS * 1000;
    if (intervalMs === 0) return;
    this.#stopping = new AbortController();
    const runIn = (ms: number): void => {
      this.#timer = setTimeout(async () => {
        this.#running = this.run().catch((error: unknown) => this.#parts.log.warn({ err: error }, 'the reconciler could not run'));
        await this.#running;
        if (!this.#stopping.signal.aborted) runIn(intervalMs);
      }, ms);
    };
    runIn(Math.min(FIRST_RUN_MS, intervalMs));
  }

  /** Ends the run under way after the step it is at. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the reconciler is being stopped'));
    if (this.#timer) clearTimeout(this.#timer);
    await this.#running;
  }

  /** What was found and done; null when another process is at it. Throws `repository_unavailable`. */
  async run({ dryRun = false, everything = false, now = this.#parts.clock() }: ReconcileOptions = {}): Promise<ReconcileReport | null> {
    const { leases, newId, clock, config } = this.#parts;
    const holder = newId();
    const spanMs = config.LEASE_SECONDS * 1000;
    const acquire = (): Promise<boolean> => leases.acquire(LEASE, holder, clock(), clock() + spanMs);
    if (!(await acquire())) return null;
    const lost = new AbortController();
    const renewal = setInterval(() => {
      acquire().then(
        (ours) => ours || lost.abort(new Error('another process took over')),
        (error: unknown) => lost.abort(error),
      );
    }, spanMs / 3);
    try {
      return await this.#runTasks({ dryRun, everything, now }, AbortSignal.any([lost.signal, this.#stopping.signal]));
    } finally {
      clearInterval(renewal);
      await leases.release(LEASE, holder).catch(() => undefined);
    }
  }

  async #runTasks({ dryRun, everything, now }: Required<ReconcileOptions>, signal: AbortSignal): Promise<ReconcileReport> {
    const { log } = this.#parts;
    const report: ReconcileReport = {
      dryRun,
      startedAt: new Date(now).toISOString(),
      tasks: [],
      found: zeroes(),
      removed: zeroes(),
      foreign: [],
    };
    const portion = everything ? { after: undefined, limit: Number.POSITIVE_INFINITY } : { after: this.#checkedUpTo, limit: PORTION };
    const check: Task = async (context) => {
      const checkedUpTo = await checkBytes(context);
      if (!everything) this.#checkedUpTo = checkedUpTo;
    };
    for (const [name, task] of [...TASKS, ['check stored bytes', check] as const]) {
      if (signal.aborted) break;
      report.tasks.push(await this.#runTask(name, task, { dryRun, now, portion, signal }, report));
    }
    log.info({ found: nonZero(report.found), removed: nonZero(report.removed), foreign: report.foreign.length, dryRun }, 'reconciled');
    return report;
  }

  async #runTask(
    name: string,
    task: Task,
    terms: Pick<TaskContext, 'dryRun' | 'now' | 'portion' | 'signal'>,
    report: ReconcileReport,
  ): Promise<TaskReport> {
    const { metrics, log } = this.#parts;
    const result: TaskReport = { task: name, found: 0, removed: 0, error: null };
    const context: TaskContext = {
      ...terms,
      parts: this.#parts,
      found: (kind, count = 1) => {
        result.found += count;
        report.found[kind] += count;
        metrics.orphansFound.inc({ kind }, count);
      },
      removed: (kind, count = 1) => {
        result.removed += count;
        report.removed[kind] += count;
        metrics.orphansRemoved.inc({ kind }, count);
      },
      foreign: (key) => {
        if (report.foreign.length < FOREIGN_LISTED) report.foreign.push(key);
        log.debug({ key }, 'found something that is not ours');
      },
    };
    try {
      await task(context);
    } catch (error) {
      result.error = error instanceof Error ? error.message : String(error);
      log.warn({ err: error, task: name }, 'a task of the reconciler ended early; the next run will try again');
    }
    return result;
  }
}

const zeroes = (): Record<OrphanKind, number> => Object.fromEntries(ORPHAN_KINDS.map((kind) => [kind, 0])) as Record<OrphanKind, number>;

const nonZero = (counts: Record<OrphanKind, number>): Partial<Record<OrphanKind, number>> =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
