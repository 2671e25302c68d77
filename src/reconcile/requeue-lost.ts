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

async function askAgain(context: TaskContext, upload: Upload, patienceMs: number): Promise<void> {
  if (upload.outbox.some(({ kind }) => kind === 'job') || !isDue(upload, context.now, patienceMs)) return;
  const job = upload.state === 'verifying' ? 'complete' : 'relay';
  await mend(context, upload, async () => (await context.parts.ledger.amend(upload, {}, job)) !== null);
}

/**
 * Asking raises `updatedAt`, and the next time takes as long again as all the waiting so far: with no worker for a day,
 * the queue holds a handful of jobs for each upload and not hundreds.
 */
function isDue({ history, updatedAt }: Upload, now: number, patienceMs: number): boolean {
  const since = history.at(-1)?.at ?? updatedAt;
  return now - updatedAt >= Math.max(patienceMs, updatedAt - since);
}
