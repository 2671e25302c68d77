import type { Config } from '../config.ts';
import { BATCH_MS } from '../ingest.ts';
import type { ObjectStore, SweptStore } from '../ports/object-store.ts';
import type { Task } from './task.ts';

/**
 * Half-written files last touched before this time (epoch ms) belong to nobody, on whichever server of a shared disk. A
 * body may pause for UPLOAD_IDLE_SECONDS, and what arrives gathers for a while before it is written: the file is not
 * touched then, but somebody still is at it.
 */
export const abandonedBefore = (now: number, graceSeconds: number, { UPLOAD_IDLE_SECONDS }: Pick<Config, 'UPLOAD_IDLE_SECONDS'>): number =>
  now - Math.max(graceSeconds * 1000, 2 * UPLOAD_IDLE_SECONDS * 1000 + BATCH_MS);

/** Removes what uploads that were cut off by a crash left in half-written files. */
export const sweepUnfinished: Task = async (context) => {
  const { parts, now, dryRun, signal } = context;
  const before = abandonedBefore(now, parts.config.ORPHAN_GRACE_SECONDS, parts.config);
  for (const disk of [parts.spool, parts.direct]) {
    signal.throwIfAborted();
    const count = await disk.sweepUnfinished(before, !dryRun);
    context.found('unfinished', count);
    if (!dryRun) context.removed('unfinished', count);
  }
  if (dryRun || !isSwept(parts.store)) return;
  const count = await parts.store.sweep(before);
  context.found('unfinished', count);
  context.removed('unfinished', count);
};

const isSwept = (store: ObjectStore): store is ObjectStore & SweptStore => 'sweep' in store && typeof store.sweep === 'function';
