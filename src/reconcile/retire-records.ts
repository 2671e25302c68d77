import { removeBytes } from '../strategies/removal.ts';
import { scanUploads } from './paging.ts';
import { mend, type Task } from './task.ts';

/** Failed uploads that nobody tried again in time are given up, with the bytes that another try would have needed. */
export const retireFailed: Task = async (context) => {
  const { parts, now } = context;
  const updatedBefore = now - parts.config.FAILED_RETENTION_SECONDS * 1000;
  for await (const upload of scanUploads(parts.uploads, { states: ['failed'], updatedBefore }))
    await mend(context, upload, async () => {
      // The record first: who tries the upload again at this moment must not find its bytes half removed.
      const deleted = await parts.ledger.transition(upload, 'deleted');
      if (!deleted) return false;
      await removeBytes(parts, deleted);
      await parts.queue.removeDead(deleted.id);
      return true;
    });
};

/** Records of what is gone are forgotten, once what their deletion may have left behind is gone too. */
export const purgeRecords: Task = async (context) => {
  const { parts, now } = context;
  const updatedBefore = now - parts.config.RECORD_RETENTION_SECONDS * 1000;
  for await (const upload of scanUploads(parts.uploads, { states: ['deleted', 'expired'], updatedBefore }))
    await mend(context, upload, async () => {
      await removeBytes(parts, upload);
      return parts.uploads.purge(upload.id, upload.version);
    });
};

/** Idempotency keys that are past their time. */
export const forgetIdempotencyKeys: Task = async ({ parts, now, dryRun }) => {
  if (!dryRun) await parts.idempotency.sweep(now);
};
