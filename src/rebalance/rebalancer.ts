import type { Placement } from '../core/placement.ts';
import type { Ledger } from '../ledger.ts';
import type { Members } from '../members.ts';
import { Periodic } from '../periodic.ts';
import type { Platform } from '../platform.ts';
import { Mover } from './mover.ts';
import { type PassOptions, type PassReport, runPass } from './pass.ts';
import { Throttle } from './throttle.ts';

type RebalancerParts = Platform & { ledger: Ledger; members: Members };

const FIRST_RUN_MS = 10_000;
/** An upload that takes longer than this from its first byte to its record is found by the next full look only. */
const LONGEST_UPLOAD_MS = 86_400_000;

/** Brings direct files to the servers that they belong on: those of this server by itself, those of any when told to. */
export class Rebalancer {
  readonly #parts: RebalancerParts;
  readonly #mover: Mover;
  readonly #periodic = new Periodic();
  /** What the last look at all files of this server ended with, when nothing was left to move. */
  #settled: { members: string; at: number } | null = null;

  constructor(parts: RebalancerParts) {
    this.#parts = parts;
    const throttle = new Throttle(parts.config.REBALANCE_BYTES_PER_SECOND, () => performance.now());
    this.#mover = new Mover({ ...parts, throttle });
  }

  /** Runs soon, and then every REBALANCE_INTERVAL_SECONDS; never when that is 0, or when files are not spread. */
  start(): void {
    const { config, log } = this.#parts;
    if (config.DIRECT_PLACEMENT !== 'rendezvous') return;
    this.#periodic.start({
      intervalMs: config.REBALANCE_INTERVAL_SECONDS * 1000,
      firstMs: FIRST_RUN_MS,
      run: (signal) => this.#runOwn(signal),
      onFailure: (error) => log.warn({ err: error }, 'direct files could not be looked through; the next run will try again'),
    });
  }

  /** Breaks off the moves under way: they leave everything as it was. */
  stop(): Promise<void> {
    return this.#periodic.stop();
  }

  /** One pass over the files of one server. Throws `repository_unavailable`. */
  async run(options: Omit<PassOptions, 'placement'> & { placement?: Placement }): Promise<PassReport> {
    const { members } = this.#parts;
    const placement = options.placement ?? (await members.read());
    return runPass({ ...this.#parts, mover: this.#mover }, { ...options, placement });
  }

  /** All files of this server when members have changed or some had to stay; else only those that are new. */
  async #runOwn(signal: AbortSignal): Promise<void> {
    const { config, members, metrics, clock, log } = this.#parts;
    const startedAt = clock();
    const placement = await members.read();
    const fingerprint = JSON.stringify(placement.members.map(({ name, weight }) => [name, weight]).sort());
    const known = this.#settled?.members === fingerprint ? this.#settled : null;
    this.#settled = null;
    const after = known ? leastIdAt(known.at - LONGEST_UPLOAD_MS) : undefined;
    const report = await this.run({ node: config.NODE_NAME, placement, after, dryRun: false, signal });
    metrics.misplacedFiles.set(report.misplaced - report.moved);
    if (report.misplaced === report.moved) this.#settled = { members: fingerprint, at: startedAt };
    if (report.misplaced > 0) log.info(report, 'direct files that belong elsewhere were looked for');
  }
}

/** Ids are UUIDv7, and begin with the time. */
function leastIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
