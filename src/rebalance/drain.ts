import { setTimeout as pause } from 'node:timers/promises';
import { MEMBERS_MS } from '../members.ts';
import type { Platform } from '../platform.ts';
import { scanUploads } from '../reconcile/paging.ts';
import type { PassReport } from './pass.ts';
import type { Rebalancer } from './rebalancer.ts';

export interface DrainParts {
  platform: Pick<Platform, 'uploads' | 'nodes' | 'clock'>;
  rebalancer: Pick<Rebalancer, 'run'>;
}

export interface DrainReport {
  node: string;
  moved: number;
  movedBytes: number;
  /** Direct files that are still there; 0 when it is empty. */
  left: number;
  /** Relayed uploads that still wait in its spool. */
  spooled: number;
  /** Whether it is no longer known. One that still runs stays, marked, until it is stopped. */
  removed: boolean;
}

export interface DrainOptions {
  signal: AbortSignal;
  onProgress?: (report: Readonly<PassReport>) => void;
  /** How long servers may go by members that they read before; ms. */
  staleMs?: number;
}

/** A server registers three times in this time: one that has not is not running. Milliseconds. */
const SILENT_MS = 60_000;
/** Between two looks at files that others are at, and how often that is done with nothing moved meanwhile. */
const BUSY_MS = 1000;
const MOST_WAITS = 60;
const STALE_MS = 2 * MEMBERS_MS;

/**
 * Marks a server so that it gets no new files, moves the ones it has to the others, and forgets it once it is empty and
 * stopped. Null when there is no such server. Can be broken off and repeated. Throws `repository_unavailable`.
 */
export async function drain({ platform, rebalancer }: DrainParts, node: string, options: DrainOptions): Promise<DrainReport | null> {
  const { nodes, clock } = platform;
  const { signal, onProgress, staleMs = STALE_MS } = options;
  if (!(await nodes.setDraining(node, true))) return null;
  await pause(staleMs, undefined, { signal });
  const report: DrainReport = { node, moved: 0, movedBytes: 0, left: 0, spooled: 0, removed: false };
  // What arrived meanwhile was begun before the mark; a pass that moves nothing will not be better the next time.
  for (let waits = 0; waits < MOST_WAITS; ) {
    const pass = await rebalancer.run({ node, dryRun: false, signal, onProgress });
    report.moved += pass.moved;
    report.movedBytes += pass.movedBytes;
    if (pass.moved > 0) continue;
    if (pass.busy === 0) break;
    waits += 1;
    await pause(BUSY_MS, undefined, { signal });
  }
  const rest = await remainder(platform, node);
  const removed = rest.left === 0 && rest.spooled === 0 && (await nodes.removeDrained(node, clock() - SILENT_MS));
  return { ...report, ...rest, removed };
}

/** What still lies on a server's disk, by the records. */
async function remainder({ uploads }: Pick<Platform, 'uploads'>, node: string): Promise<{ left: number; spooled: number }> {
  let left = 0;
  let spooled = 0;
  for await (const _ of scanUploads(uploads, { states: ['stored'], node })) left += 1;
  for await (const { spool } of scanUploads(uploads, { states: ['queued', 'relaying', 'failed'] })) if (spool?.node === node) spooled += 1;
  return { left, spooled };
}

/** For a server that is being stopped: one that was drained and is empty need not be known any more. */
export async function leave({ uploads, nodes }: Pick<Platform, 'uploads' | 'nodes'>, node: string): Promise<boolean> {
  if (!(await nodes.find(node))?.draining) return false;
  const { left, spooled } = await remainder({ uploads }, node);
  return left === 0 && spooled === 0 && nodes.removeDrained(node, Number.MAX_SAFE_INTEGER);
}
