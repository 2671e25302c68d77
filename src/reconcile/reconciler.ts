import { ORPHAN_KINDS } from '../metrics.ts';
import { Periodic } from '../periodic.ts';
import { checkBytes } from './check-bytes.ts';
import { expirePending } from './expire-pending.ts';
import { finishIntents } from './finish-intents.ts';
import { removeOrphans } from './remove-orphans.ts';
import { requeueAbandoned, requeueBackups, requeueQueued } from './requeue-lost.ts';
import { forgetIdempotencyKeys, purgeRecords, retireFailed } from './retire-records.ts';
import { sweepUnfinished } from './sweep-unfinished.ts';
import type { OrphanKind, ReconcileParts, Task, TaskContext } from './task.ts';

export interface ReconcileOptions {
  /** Changes nothing, only counts what would be. */
  dryRun?: boolean;
  /** Looks at the bytes of every stored upload, not only at the next portion. */
  everything?: boolean;
  /** Leaves alone what other servers have to do with, too. */
  disksOnly?: boolean;
  /** Epoch ms; the clock's by default. */
  now?: number;
}

type Terms = Required<Pick<ReconcileOptions, 'dryRun' | 'everything' | 'now'>>;

export interface TaskReport {
  task: string;
  found: number;
  removed: number;
  /** What kept the task from going on; null when it came to its end. */
  error: string | null;
}

export interface ReconcileReport {
  dryRun: boolean;
  /** False when another process was at what servers share: then only the own disks were looked at. */
  shared: boolean;
  startedAt: string;
  tasks: TaskReport[];
  found: Record<OrphanKind, number>;
  removed: Record<OrphanKind, number>;
  /** Keys that Windlass did not make: the first hundred. */
  foreign: string[];
}

/** For what all servers share; what lies on a server's own disks has a lease of its own for each. */
const SHARED_LEASE = 'reconciler';
/** Held through the pause after a scheduled run, so that of many servers one runs in each interval. */
const TURN_LEASE = 'reconciler turn';
const TURN_SHARE = 0.9;
const FIRST_RUN_MS = 5000;
const PORTION = 2000;
const FOREIGN_LISTED = 100;

/** What belongs to records comes before what looks for bytes without one, so that one run finds what it has just set free. */
const SHARED_TASKS: readonly [name: string, task: Task][] = [
  ['purge records', purgeRecords],
  ['expire pending uploads', expirePending],
  ['requeue waiting uploads', requeueQueued],
  ['requeue abandoned uploads', requeueAbandoned],
  ['requeue backups', requeueBackups],
  ['finish resource links', finishIntents],
  ['give up failed uploads', retireFailed],
  ['forget idempotency keys', forgetIdempotencyKeys],
  ['remove objects', removeOrphans('object')],
  ['remove backups', removeOrphans('backup')],
  ['remove staged objects', removeOrphans('staging')],
  ['abort multipart uploads', removeOrphans('multipart')],
];

const REMOVE_DIRECT: [name: string, task: Task] = ['remove direct files', removeOrphans('direct')];

const DISK_TASKS: readonly [name: string, task: Task][] = [
  ['remove unfinished files', sweepUnfinished],
  ['remove spooled files', removeOrphans('spool')],
];

/**
 * Compares records, spool, disk and store, and puts right what crashes, outages and clients that went away have left.
 * What servers share is done by one at a time, and each looks after its own disks; every task can be repeated, and none
 * depends on another having gone well.
 */
export class Reconciler {
  readonly #parts: ReconcileParts;
  #checkedUpTo: string | undefined;
  readonly #periodic = new Periodic();

  constructor(parts: ReconcileParts) {
    this.#parts = parts;
  }

  /** Runs soon, and then every RECONCILE_INTERVAL_SECONDS; never when that is 0. */
  start(): void {
    const { config, log } = this.#parts;
    const intervalMs = config.RECONCILE_INTERVAL_SECONDS * 1000;
    this.#periodic.start({
      intervalMs,
      firstMs: FIRST_RUN_MS,
      run: () => this.#runInTurn(intervalMs),
      onFailure: (error) => log.warn({ err: error }, 'the reconciler could not run'),
    });
  }

  /** Ends the run under way after the step it is at. */
  stop(): Promise<void> {
    return this.#periodic.stop();
  }

  /** This server's own disks each time, what all share when it is this server's turn. */
  async #runInTurn(intervalMs: number): Promise<void> {
    const { leases, newId, clock } = this.#parts;
    const turn = await leases.acquire(TURN_LEASE, newId(), clock(), clock() + intervalMs * TURN_SHARE);
    await this.run({ disksOnly: !turn });
  }

  /** What was found and done; null when another process is at it. Throws `repository_unavailable`. */
  async run({
    dryRun = false,
    everything = false,
    disksOnly = false,
    now = this.#parts.clock(),
  }: ReconcileOptions = {}): Promise<ReconcileReport | null> {
    const report: ReconcileReport = {
      dryRun,
      shared: false,
      startedAt: new Date(now).toISOString(),
      tasks: [],
      found: zeroes(),
      removed: zeroes(),
      foreign: [],
    };
    const terms = { dryRun, everything, now };
    report.shared = !disksOnly && (await this.#underLease(SHARED_LEASE, (signal) => this.#runShared(terms, report, signal)));
    const ownLease = `${SHARED_LEASE} of ${this.#parts.config.NODE_NAME}`;
    const own = await this.#underLease(ownLease, (signal) => this.#runTasks(this.#diskTasks(), terms, report, signal));
    if (!report.shared && !own) return null;
    const { found, removed, foreign } = report;
    this.#parts.log.info({ found: nonZero(found), removed: nonZero(removed), foreign: foreign.length, disksOnly, dryRun }, 'reconciled');
    return report;
  }

  /** A drive that all servers mount is looked through by one of them. */
  #diskTasks(): readonly [name: string, task: Task][] {
    return this.#driveIsShared() ? DISK_TASKS : [...DISK_TASKS, REMOVE_DIRECT];
  }

  #driveIsShared(): boolean {
    return this.#parts.config.DIRECT_PLACEMENT === 'shared';
  }

  /** False when somebody else has the lease. */
  async #underLease(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
    const { leases, newId, clock, config } = this.#parts;
    const holder = newId();
    const spanMs = config.LEASE_SECONDS * 1000;
    const acquire = (): Promise<boolean> => leases.acquire(name, holder, clock(), clock() + spanMs);
    if (!(await acquire())) return false;
    const lost = new AbortController();
    const renewal = setInterval(() => {
      acquire().then(
        (ours) => ours || lost.abort(new Error('another process took over')),
        (error: unknown) => lost.abort(error),
      );
    }, spanMs / 3);
    try {
      await work(AbortSignal.any([lost.signal, this.#periodic.signal]));
      return true;
    } finally {
      clearInterval(renewal);
      await leases.release(name, holder).catch(() => undefined);
    }
  }

  async #runShared({ everything, ...terms }: Terms, report: ReconcileReport, signal: AbortSignal): Promise<void> {
    const portion = everything ? { after: undefined, limit: Number.POSITIVE_INFINITY } : { after: this.#checkedUpTo, limit: PORTION };
    const check: Task = async (context) => {
      const checkedUpTo = await checkBytes(context);
      if (!everything) this.#checkedUpTo = checkedUpTo;
    };
    const drive = this.#driveIsShared() ? [REMOVE_DIRECT] : [];
    await this.#runTasks([...SHARED_TASKS, ...drive, ['check stored bytes', check]], terms, report, signal, portion);
  }

  async #runTasks(
    tasks: readonly [name: string, task: Task][],
    { dryRun, now }: Pick<Terms, 'dryRun' | 'now'>,
    report: ReconcileReport,
    signal: AbortSignal,
    portion: TaskContext['portion'] = { after: undefined, limit: 0 },
  ): Promise<void> {
    for (const [name, task] of tasks) {
      if (signal.aborted) break;
      report.tasks.push(await this.#runTask(name, task, { dryRun, now, portion, signal }, report));
    }
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
