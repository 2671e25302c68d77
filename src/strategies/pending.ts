import { type Staging, transition, type Upload } from '../core/upload.ts';
import { WindlassError } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import { removeStaging } from './removal.ts';

/** An upload that the client sends to the store itself. */
export type PresignedUpload = Upload & { strategy: 'presign'; staging: Staging };

/** Throws `invalid_state` for an upload of another strategy: it has no links, no parts and nothing to complete. */
export function requirePresigned(upload: Upload): PresignedUpload {
  if (upload.strategy === 'presign' && upload.staging) return upload as PresignedUpload;
  throw new WindlassError('invalid_state', 'Only presigned uploads have links, parts and a completion.', {
    expected: 'presign',
    actual: upload.strategy,
  });
}

export const hasLapsed = ({ state, expiresAt }: Upload, now: number): boolean =>
  state === 'pending' && expiresAt !== null && expiresAt <= now;

/** Throws `expired` or `invalid_state` unless the client may still write. */
export function requirePending(upload: Upload): void {
  if (upload.state === 'pending') return;
  if (upload.state === 'expired') throw expired();
  throw new WindlassError('invalid_state', `The upload is ${upload.state}, no longer pending.`, {
    expected: 'pending',
    actual: upload.state,
  });
}

export const expired = (): WindlassError => new WindlassError('expired', 'The upload was not completed in time.');

/**
 * Records that the time of a pending upload is over, unless somebody completes it at this moment; the record afterwards.
 * What was uploaded is removed; where that fails, the reconciler does it.
 */
export async function expire(deps: Pick<Platform, 'store' | 'log'> & { ledger: Ledger }, upload: Upload): Promise<Upload> {
  const after = await deps.ledger.update(upload.id, (current, now) =>
    hasLapsed(current, now.now) ? transition(current, 'expired', {}, now) : null,
  );
  if (after.state === 'expired') {
    await removeStaging(deps, after).catch((err: unknown) => deps.log.warn({ err, uploadId: after.id }, 'staged bytes left behind'));
  }
  return after;
}
