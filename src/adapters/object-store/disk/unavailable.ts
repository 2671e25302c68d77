import { codeOf, isWindlassError, WindlassError } from '../../../errors.ts';

const RETRY_AFTER_SECONDS = 5;
const BUGS = /^ERR_(?:INVALID|OUT_OF|METHOD)/;

/**
 * Carries out work of the object store by its failure contract: a full disk and every error of the system, the network or
 * a source (they have a code or a cause) may pass and become `store_unavailable`; errors of ours, aborts and bugs are
 * passed on as they are.
 */
export async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!mayPass(error)) throw error;
    const retryAfter = (isWindlassError(error) ? error.retryAfter : null) ?? RETRY_AFTER_SECONDS;
    throw new WindlassError('store_unavailable', 'The object store could not do this now.', { cause: error, retryAfter });
  }
}

function mayPass(error: unknown): boolean {
  if (isWindlassError(error)) return error.code === 'spool_full';
  if (error === null || typeof error !== 'object' || ('name' in error && error.name === 'AbortError')) return false;
  const code = codeOf(error);
  return code === null ? 'cause' in error && error.cause !== undefined : !BUGS.test(code);
}
