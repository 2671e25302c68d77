import { WindlassError } from '../../errors.ts';
import type { Failure } from './messages.ts';

/** SQLite's codes for a statement that is wrong rather than a database that is away: ERROR, TOOBIG, CONSTRAINT, MISMATCH, MISUSE, RANGE. */
const OUR_FAULT = new Set([1, 18, 19, 20, 21, 25]);

const RETRY_AFTER_SECONDS = 1;

export function toFailure(error: unknown): Failure {
  const { message, stack, errcode } = error as Error & { errcode?: unknown };
  return { message, stack, resultCode: typeof errcode === 'number' ? errcode & 0xff : null };
}

/** The caller's error for what went wrong in the thread. A bug stays what it is. */
export function toError(failure: Failure): Error {
  const cause = new Error(failure.message);
  if (failure.stack !== undefined) cause.stack = failure.stack;
  if (failure.resultCode === null || OUR_FAULT.has(failure.resultCode)) return cause;
  return unavailable(failure.message, cause);
}

export const unavailable = (why: string, cause?: unknown): WindlassError =>
  new WindlassError('repository_unavailable', `The database cannot be used: ${why}.`, { cause, retryAfter: RETRY_AFTER_SECONDS });
