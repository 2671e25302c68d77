import type { Upload } from './core/upload.ts';
import { isWindlassError } from './errors.ts';
import type { Platform } from './platform.ts';

/**
 * Carries out `work` on an upload whose lease the caller has just taken, renewing the lease three times in its span.
 * The signal given to `work` is aborted when the lease is lost or `outer` is aborted. Losing it is no danger to the
 * record (taking it raised the version, so a commit would fail): the signal only saves useless work. Throws what `work`
 * throws, but `repository_unavailable` when that is what the work was called off for.
 */
export async function whileLeased<T>(
  { uploads, clock, config }: Pick<Platform, 'uploads' | 'clock' | 'config'>,
  upload: Upload,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const token = upload.lease?.token;
  if (!token) throw new RangeError(`upload ${upload.id} has no lease`);
  const span = config.LEASE_SECONDS * 1000;
  const lost = new AbortController();
  let renewedUntil = upload.lease?.expiresAt ?? 0;
  const timer = setInterval(async () => {
    try {
      const until = clock() + span;
      if (!(await uploads.renewLease(upload.id, token, until))) lost.abort(new Error(`the lease on upload ${upload.id} was lost`));
      renewedUntil = until;
    } catch (error) {
      if (clock() > renewedUntil) lost.abort(error);
    }
  }, span / 3);
  try {
    return await work(outer ? AbortSignal.any([outer, lost.signal]) : lost.signal);
  } catch (error) {
    // What is called off because the records are away fails in its own way: the caller is to hear why.
    throw isWindlassError(lost.signal.reason) ? lost.signal.reason : error;
  } finally {
    clearInterval(timer);
  }
}
