import { codeOf, isWindlassError, WindlassError } from '../../../errors.ts';

const RETRY_AFTER_SECONDS = 5;
const BUGS = /^ERR_(?:INVALID|OUT_OF|METHOD)/;
/** Refusals with a status of 400 or 404 that say nothing about the object: the operator or time mends them. */
const PASSING = new Set([
  'AuthorizationHeaderMalformed',
  'ExpiredToken',
  'IncompleteBody',
  'InvalidToken',
  'NoSuchBucket',
  'RequestTimeout',
  'TokenRefreshRequired',
  'XAdminUserNotFound', // Versity's InvalidAccessKeyId
]);
const PASSING_STATUS = new Set([301, 307, 401, 403, 408, 409, 429]);
const OTHER_BYTES = new Set(['BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'ContentSHA256Mismatch']);
const NO_CREDENTIALS = new Set(['CredentialsProviderError', 'TokenProviderError', 'ProviderError']);
/** An answer of the store that is not the one wanted. */
export interface Refusal {
  status: number;
  /** S3's code for it. */
  code: string;
}

/** What the store answered, or null for an error that is no answer of it. */
export function refusalOf(error: unknown): Refusal | null {
  if (!hasMetadata(error)) return null;
  const status = error.$metadata.httpStatusCode;
  const code = 'Code' in error && typeof error.Code === 'string' ? error.Code : null;
  if (typeof status !== 'number' || (status < 300 && code === null)) return null;
  return { status, code: code ?? nameless(status) };
}

const nameless = (status: number): string => `HTTP${status}`;

/** Without a code of S3's: so are answers to HEAD, which have no body, and those of servers that are no S3. */
export const isNameless = ({ status, code }: Refusal): boolean => code === nameless(status);

/** Gives null where the store answers with one of these codes. */
export async function nullIf<T>(codes: readonly string[], work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (codes.includes(refusalOf(error)?.code ?? '')) return null;
    throw error;
  }
}

/** There is an object already, or somebody is making one right now, where there was to be none. */
export const TAKEN: ReadonlySet<string> = new Set(['PreconditionFailed', 'ConditionalRequestConflict']);

/** For a condition that a store does not know. */
export const NOT_IMPLEMENTED = 501;

export const ABSENT = ['NoSuchKey'] as const;
/** For answers to HEAD: what is missing, and whether this is S3 at all, they do not tell. */
export const ABSENT_PERHAPS = ['HTTP404', ...ABSENT] as const;

/** Carries out work of the store by its failure contract; called off by `signal`, it rejects with an AbortError. */
export async function orUnavailable<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw signal?.aborted ? abortError(signal) : failureOf(error);
  }
}

/** The same for what is given piece by piece. */
export async function* eachOrUnavailable<T>(work: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* work;
  } catch (error) {
    throw failureOf(error);
  }
}

/**
 * What a caller gets to see. Wrong keys, a missing bucket or a wrong clock are `store_unavailable` too, because no upload
 * is to fail for them: the detail names the store's code, for the operator.
 */
export function failureOf(error: unknown): unknown {
  if (isWindlassError(error) || error === null || typeof error !== 'object') return error;
  const refusal = refusalOf(error);
  if (!refusal) return mayPass(error) ? unavailable(silenceOf(error), error) : error;
  const { status, code } = refusal;
  if (OTHER_BYTES.has(code)) return new WindlassError('digest_mismatch', 'The bytes do not have the declared SHA-256.', { cause: error });
  // An answer without a code comes from a proxy before the store, or the address is wrong.
  return status >= 500 || PASSING_STATUS.has(status) || PASSING.has(code) || isNameless(refusal) ? refused(error) : error;
}

/** Any refusal, for what cannot be done without: an operator has to see to it. */
export function refused(error: unknown): unknown {
  const refusal = refusalOf(error);
  return refusal ? unavailable(`The object store refused the request: ${refusal.code} (${refusal.status}).`, error) : error;
}

export const NO_STORE = 'The answer is not that of an object store: the address may be wrong.';

export const unavailable = (detail: string, cause?: unknown): WindlassError =>
  new WindlassError('store_unavailable', detail, { cause, retryAfter: retryAfterOf(cause) ?? RETRY_AFTER_SECONDS });

/** Everything of system, network and SDK has a code, a cause or the request's metadata; aborts and bugs have not. */
function mayPass(error: object): boolean {
  if (isAbort(error)) return false;
  const code = codeOf(error);
  if (code !== null) return !BUGS.test(code);
  const named = nameOf(error) === 'TimeoutError' || NO_CREDENTIALS.has(nameOf(error));
  return named || hasMetadata(error) || isWrapped(error) || ('cause' in error && error.cause !== undefined);
}

/** What the SDK makes of errors from another realm, as Node's own are under Jest: only their text is left. */
const isWrapped = (error: object): boolean =>
  'message' in error && typeof error.message === 'string' && error.message.startsWith('AWS SDK error wrapper');

const isAbort = (error: unknown): error is Error =>
  error !== null && typeof error === 'object' && 'name' in error && error.name === 'AbortError';

const silenceOf = (error: object): string =>
  NO_CREDENTIALS.has(nameOf(error))
    ? 'There are no credentials for the object store.'
    : `The object store could not be reached or did not answer (${nameOf(error)}).`;

const nameOf = (error: object): string => codeOf(error) ?? ('name' in error && typeof error.name === 'string' ? error.name : 'Error');

const hasMetadata = (error: unknown): error is { $metadata: { httpStatusCode?: unknown } } =>
  error !== null && typeof error === 'object' && '$metadata' in error && error.$metadata !== null && typeof error.$metadata === 'object';

/** Seconds that the store asks to wait; null where it does not say. */
function retryAfterOf(error: unknown): number | null {
  if (error === null || typeof error !== 'object' || !('$response' in error)) return null;
  const headers = (error.$response as { headers?: Record<string, string> } | undefined)?.headers;
  const seconds = Number(headers?.['retry-after'] ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : null;
}

function abortError({ reason }: AbortSignal): Error {
  if (isAbort(reason)) return reason;
  return new DOMException('The request to the object store was called off.', { name: 'AbortError', cause: reason });
}
