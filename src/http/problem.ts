import { codeOf, ERRORS, isWindlassError, WindlassError } from '../errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** The problem document of an error (RFC 9457), the same for every route and for the store's links. */
export function problemOf(error: WindlassError, requestId: string, docsUrl: string): Record<string, unknown> {
  const { allow: _, ...extras } = error.extras;
  return {
    type: `${docsUrl}#${error.code}`,
    title: ERRORS[error.code].title,
    status: error.status,
    detail: error.detail,
    code: error.code,
    requestId,
    ...extras,
  };
}

/** Headers that go with an error. */
export function problemHeaders(error: WindlassError): Record<string, string> {
  const headers: Record<string, string> = { 'Content-Type': PROBLEM_TYPE, 'Cache-Control': 'no-store' };
  if (error.retryAfter !== null) headers['Retry-After'] = String(error.retryAfter);
  if (error.extras.allow) headers.Allow = error.extras.allow.join(', ');
  if (error.code === 'unauthorized') headers['WWW-Authenticate'] = 'Bearer realm="windlass"';
  return headers;
}

/** Errors that mean no more than that the client went away. */
const CLIENT_GONE = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'ABORT_ERR', 'ECONNABORTED']);

/** Whatever was thrown, as an error of ours: what has no code is a bug, and says nothing of itself to the client. */
export function asWindlassError(error: unknown, requestGone: boolean): WindlassError {
  if (isWindlassError(error)) return error;
  if (requestGone && CLIENT_GONE.has(codeOf(error) ?? '')) return new WindlassError('aborted', 'The client went away.', { cause: error });
  return new WindlassError('internal', 'Something went wrong; the log of the server has the details under this request id.', {
    cause: error,
  });
}
