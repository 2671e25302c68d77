import type { Upload } from '../core/upload.ts';

/**
 * Which bytes a record still needs. Where a record could come to need them again (a failed upload is tried again while
 * the reconciler looks) it owns them; bytes whose record says they are elsewhere are never guessed to be garbage.
 */

/** A spooled file is needed until its upload is stored, and kept for another try when it failed. */
export const ownsSpooled = (upload: Upload): boolean => ['queued', 'relaying', 'failed'].includes(upload.state);

/**
 * The file that the record names, and a copy that is being made of it. A file of another name is what a move has left
 * behind. On which server it lies is not asked: a disk may have got another name, or be mounted twice.
 */
export const ownsDirect = ({ state, strategy, location, move }: Upload, key: string): boolean =>
  state === 'stored' && strategy === 'direct' && (location?.key === key || move?.key === key);

/** One that is being made, is there, or was given up with who knows what of it there: until the upload is deleted. */
export const ownsBackup = ({ state, backup }: Upload): boolean => state === 'stored' && !!backup;

export const mayPutBackup = ({ state, backup }: Upload): boolean => state === 'stored' && backup?.state === 'due';

/** A failed relay may be tried again and then finds its object; a failed completion is never repeated. */
export function ownsObject({ state, strategy }: Upload): boolean {
  if (state === 'failed') return strategy === 'relay';
  return state !== 'deleted' && state !== 'expired';
}

/** Until completion; after that a link may still work, and removing what comes through it is worth it only once it cannot come again. */
export function ownsStaged({ state, staging }: Upload, before: number): boolean {
  if (state === 'pending' || state === 'verifying') return true;
  return staging !== null && staging.linkExpiresAt >= before;
}

export const ownsMultipart = ({ state, staging }: Upload, multipartId: string): boolean =>
  (state === 'pending' || state === 'verifying') && staging?.multipartId === multipartId;

/** Whether a worker may be putting the final object together from parts. */
export const mayPutParts = ({ state }: Upload): boolean => ['queued', 'relaying', 'verifying'].includes(state);
