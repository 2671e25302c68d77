import type { Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { ORPHAN_KINDS } from '../metrics.ts';
import type { Platform } from '../platform.ts';
import type { Resource } from '../ports/resource-repository.ts';

export type OrphanKind = (typeof ORPHAN_KINDS)[number];

export interface ReconcileParts extends Platform {
  ledger: Ledger;
  finishIntent: (resource: Resource) => Promise<unknown>;
}

/** What one task works with, and what it tells about its work. */
export interface TaskContext {
  parts: ReconcileParts;
  /** Epoch ms; the same for the whole run. */
  now: number;
  /** Nothing is changed; what would be is only counted. */
  dryRun: boolean;
  /** Where the run looks at stored bytes in portions: how many records this time, and after which id. */
  portion: { after: string | undefined; limit: number };
  /** Aborted when the run has to end: the lease was lost, or the process is being stopped. */
  signal: AbortSignal;
  found(kind: OrphanKind, count?: number): void;
  removed(kind: OrphanKind, count?: number): void;
  /** Something that is not ours to remove. */
  foreign(key: string): void;
}

/** One kind of difference, found and put right. Throws only what keeps it from going on at all. */
export type Task = (context: TaskContext) => Promise<void>;

/** Puts one thing right. What fails is logged and left to the next run, except when the database is away: then nothing else would go. */
export async function attempt({ parts, signal }: TaskContext, about: object, work: () => Promise<void>): Promise<boolean> {
  signal.throwIfAborted();
  try {
    await work();
    return true;
  } catch (error) {
    if (codeOf(error) === 'repository_unavailable') throw error;
    parts.log.warn({ err: error, ...about }, 'the reconciler could not put something right; the next run will try again');
    return false;
  }
}

/** One record that is out of order: counted, and put right unless this is a dry run. `work` is false when it changed by itself. */
export async function mend(context: TaskContext, upload: Upload, work: () => Promise<boolean>): Promise<void> {
  context.found('record');
  if (context.dryRun) return;
  await attempt(context, { uploadId: upload.id }, async () => {
    if (await work()) context.removed('record');
  });
}
