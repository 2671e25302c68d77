import type { Upload } from '../core/upload.ts';
import { scanUploads } from './paging.ts';
import { mend, type Task, type TaskContext } from './task.ts';

/** Uploads that have waited for so long that their job may be lost are given another. A job too many does no harm. */
export const requeueQueued: Task = async (context) => {
  const { parts, now } = context;
  const { RETRY_MAX_SECONDS, LEASE_SECONDS } = parts.config;
  const patienceMs = Math.max(RETRY_MAX_SECONDS, 2 * LEASE_SECONDS) * 1000;
  for await (const upload of scanUploads(parts.uploads, { states: ['queued'], updatedBefore: now - patienceMs }))
    await askAgain(context, upload, patienceMs);
};

/** Uploads whose worker is gone: the queue hands their jobs out again by itself, unless it lost them. */
export const requeueAbandoned: Task = async (context) => {
  const { parts, now } = context;
  const marginMs = parts.config.LEASE_SECONDS * 1000;
  for await (const upload of scanUploads(parts.uploads, { states: ['relaying', 'verifying'], leaseEndedBefore: now - marginMs }))
    await askAgain(context, upload, marginMs);
};

/** Backups that have waited for so long that their job may be lost, or that an older worker could do nothing with. */
export const requeueBackups: Task = async (context) => {
  const { parts, now } = context;
  const { RETRY_MAX_SECONDS, LEASE_SECONDS } = parts.config;
  const patienceMs = Math.max(RETRY_MAX_SECONDS, 2 * LEASE_SECONDS) * 1000;
  const query = { states: ['stored'] as const, backupDueBefore: now - patienceMs, leaseEndedBefore: now - LEASE_SECONDS * 1000 };
  for await (const upload of scanUploads(parts.uploads, query)) {
    const since = upload.backup?.state === 'due' ? upload.backup.since : upload.updatedAt;
    if (!hasJob(upload) && isDue(upload.updatedAt, since, now, patienceMs))
      await mend(context, upload, async () => (await parts.ledger.amend(upload, {}, 'backup')) !== null);
  }
};

const hasJob = ({ outbox }: Upload): boolean => outbox.some(({ kind }) => kind === 'job');

async function askAgain(context: TaskContext, upload: Upload, patienceMs: number): Promise<void> {
  const { history, updatedAt } = upload;
  if (hasJob(upload) || !isDue(updatedAt, history.at(-1)?.at ?? updatedAt, context.now, patienceMs)) return;
  const job = upload.state === 'verifying' ? 'complete' : 'relay';
  await mend(context, upload, async () => (await context.parts.ledger.amend(upload, {}, job)) !== null);
}

/**
 * Asking raises `updatedAt`, and the next time takes as long again as all the waiting so far: with no worker for a day,
 * the queue holds a handful of jobs for each upload and not hundreds.
 */
function isDue(updatedAt: number, since: number, now: number, patienceMs: number): boolean {
  return now - updatedAt >= Math.max(patienceMs, updatedAt - since);
}
