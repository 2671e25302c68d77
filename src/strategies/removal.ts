import { backupKeyOf } from '../core/keys.ts';
import type { Upload } from '../core/upload.ts';
import type { Platform } from '../platform.ts';

/**
 * Removes every byte that an upload has anywhere: spool, direct file, its backup, object, staged object, open multipart upload.
 * Idempotent. What a client still writes to staging with a valid link is left to the reconciler.
 */
export async function removeBytes({ disks, store }: Pick<Platform, 'disks' | 'store'>, upload: Upload): Promise<void> {
  const { spool, location, backup, staging } = upload;
  const removals = await Promise.allSettled([
    spool && disks.spoolOf(spool.node).remove(spool.key),
    location && (location.node === null ? store : disks.directOf(location.node)).remove(location.key),
    backup && store.remove(backupKeyOf(upload)),
    staging && removeStaging({ store }, upload),
  ]);
  for (const removal of removals) if (removal.status === 'rejected') throw removal.reason;
}

/** Removes what a client uploaded for a presigned upload. */
export async function removeStaging({ store }: Pick<Platform, 'store'>, { staging }: Upload): Promise<void> {
  if (!staging) return;
  if (staging.multipartId) await store.abortMultipart(staging.key, staging.multipartId);
  await store.remove(staging.key);
}
