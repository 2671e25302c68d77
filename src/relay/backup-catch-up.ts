import { dueBackup, type Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import { inBatches, scanUploads } from '../reconcile/paging.ts';
import type { BackupJob } from './backup-job.ts';

/** What a look at all direct files found and did. */
export interface CatchUpReport {
  checked: number;
  /** Files without a backup, and their bytes; those that were copied are among them. */
  missing: number;
  missingBytes: number;
  made: number;
  madeBytes: number;
  /** Not copied, because a server or the store is away, or somebody else is at it: workers try again, and so does the next run. */
  postponed: number;
  /** Not copied, and the log says why. */
  failed: number;
  /** Id of the last file that was looked at: where a run that was broken off goes on. */
  last: string | null;
}

export type CatchUpParts = Pick<Platform, 'uploads' | 'store' | 'queue' | 'clock' | 'log'> & {
  ledger: Ledger;
  job: Pick<BackupJob, 'run'>;
};

export interface CatchUpOptions {
  dryRun: boolean;
  /** Asks the store, too, for the copies that records name. */
  check: boolean;
  /** Only ids greater than this one. */
  after?: string | undefined;
  signal: AbortSignal;
  onProgress?: ((report: Readonly<CatchUpReport>) => void) | undefined;
}

const AT_ONCE = 4;

/**
 * Makes the backups that are missing: of files from before they were switched on, and those that were given up. Ends early,
 * with what it has done so far, when the signal is aborted. Throws `repository_unavailable`, and `store_unavailable` with `check`.
 */
export async function catchUp(parts: CatchUpParts, options: CatchUpOptions): Promise<CatchUpReport> {
  const report: CatchUpReport = { checked: 0, missing: 0, missingBytes: 0, made: 0, madeBytes: 0, postponed: 0, failed: 0, last: null };
  const { after, signal, onProgress } = options;
  const query = { states: ['stored'] as const, ...(after === undefined ? {} : { after }) };
  for await (const batch of inBatches(scanUploads(parts.uploads, query), AT_ONCE)) {
    if (signal.aborted) break;
    const direct = batch.filter(({ strategy }) => strategy === 'direct');
    await Promise.all(direct.map((upload) => consider(parts, options, upload, report)));
    // Those of a batch that was broken off are looked at once more.
    if (!signal.aborted) report.last = batch.at(-1)?.id ?? null;
    onProgress?.(report);
  }
  return report;
}

async function consider(parts: CatchUpParts, options: CatchUpOptions, upload: Upload, report: CatchUpReport): Promise<void> {
  report.checked += 1;
  if (!(await lacksBackup(parts, upload, options.check))) return;
  report.missing += 1;
  report.missingBytes += upload.size;
  if (options.dryRun) return;
  const outcome = await backUp(parts, upload, options.signal);
  if (outcome === 'made') report.madeBytes += upload.size;
  if (outcome !== 'changed') report[outcome] += 1;
}

async function lacksBackup({ store }: CatchUpParts, { backup, size, sha256 }: Upload, check: boolean): Promise<boolean> {
  if (backup?.state !== 'made') return true;
  if (!check) return false;
  const copy = await store.head(backup.key);
  return copy?.size !== size || (copy.sha256 !== null && copy.sha256 !== sha256);
}

/** The record asks for it first, without a job: what is broken off here, the reconciler gives to a worker. */
async function backUp(
  { ledger, clock, job, queue, log }: CatchUpParts,
  upload: Upload,
  signal: AbortSignal,
): Promise<'made' | 'postponed' | 'failed' | 'changed'> {
  const { id: uploadId, backup } = upload;
  try {
    if (backup?.state !== 'due' && !(await ledger.amend(upload, { backup: dueBackup(clock()) }))) return 'changed';
    const { outcome } = await job.run({ uploadId }, { signal });
    if (outcome === 'done' && backup?.state === 'failed') await queue.removeDead(uploadId);
    return ({ done: 'made', retry: 'postponed', dead: 'failed' } as const)[outcome];
  } catch (error) {
    if (codeOf(error) === 'repository_unavailable') throw error;
    log.warn({ err: error, uploadId }, 'a direct file could not be backed up');
    return 'postponed';
  }
}
