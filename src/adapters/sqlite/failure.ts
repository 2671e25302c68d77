import { WindlassError } from '../../errors.ts';
import { type Failure, THREAD_GONE, toError } from '../background/messages.ts';

/** SQLite's codes for a statement that is wrong rather than a database that is away: ERROR, TOOBIG, CONSTRAINT, MISMATCH, MISUSE, RANGE. */
const OUR_FAULT = new Set([1, 18, 19, 20, 21, 25]);

const RETRY_AFTER_SECONDS = 1;

/** The caller's error for what went wrong in the thread. A bug stays what it is. */
export function toDatabaseError({ message, stack, details }: Failure): Error {
  const cause = toError({ message, stack, details: {} });
  return details.code === THREAD_GONE || isAway(details.errcode) ? unavailable(message, cause) : cause;
}

/** By SQLite's extended result code (https://www.sqlite.org/rescode.html), whose last eight bits are the primary one. */
const isAway = (code: unknown): boolean => typeof code === 'number' && !OUR_FAULT.has(code & 0xff);

const unavailable = (why: string, cause: unknown): WindlassError =>
  new WindlassError('repository_unavailable', `The database cannot be used: ${why}.`, { cause, retryAfter: RETRY_AFTER_SECONDS });
