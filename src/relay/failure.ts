import type { UploadError } from '../core/upload.ts';
import { codeOf, isWindlassError, WindlassError } from '../errors.ts';

/** The bytes that a job should bring to the store are not what was accepted: no further try can mend that. Its code stands in the upload's `error`. */
export class BytesMissingError extends Error {
  readonly code = 'bytes_missing';
  constructor(detail: string) {
    super(detail);
    this.name = 'BytesMissingError';
  }
}

/** Remembers what was wrong with the bytes of a job, or with the server that has them: the store may wrap it into an error of its own. */
export class SourceFailure {
  /** Null while nothing was. */
  first: unknown = null;

  /** To be given every error of reading; gives it back. */
  readonly note = (error: unknown): unknown => {
    if (error instanceof BytesMissingError || codeOf(error) === 'node_unavailable') this.first ??= error;
    return error;
  };
}

/**
 * Whether trying again makes sense. Of the platform's own errors those that blame the other side (4xx) stay; everything
 * unknown is tried again, because the number of tries is limited anyway.
 */
export function mayPass(error: unknown): boolean {
  if (codeOf(error) === 'bytes_missing') return false;
  return !isWindlassError(error) || error.status >= 500;
}

/** What a client may read about it: never the text of a foreign error, which can name paths and hosts. */
export function uploadErrorOf(error: unknown): UploadError {
  if (isWindlassError(error)) return { code: error.code, detail: error.detail };
  if (error instanceof BytesMissingError) return { code: error.code, detail: error.message };
  return { code: 'internal', detail: 'The job failed unexpectedly; the log has the details.' };
}

export const notThere = (): WindlassError =>
  new WindlassError('store_unavailable', 'The store took the object but does not have it in full.');
