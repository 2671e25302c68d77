/**
 * Every error that a client can meet: its code, the HTTP status it is answered with, and what to do about it.
 * Codes are part of the contract and never change their meaning; `docs/errors.md` is generated from this table.
 */
export interface ErrorEntry {
  status: number;
  title: string;
  cause: string;
  cure: string;
}

const entry = (status: number, title: string, cause: string, cure: string): ErrorEntry => ({ status, title, cause, cure });

export const ERRORS = {
  invalid_request: entry(
    400,
    'Invalid request',
    'A field, parameter, header or part of the request is missing, unknown or malformed.',
    'Read `errors`: each entry points at one place and says what is expected there.',
  ),
  digest_mismatch: entry(
    400,
    'Digest mismatch',
    'The bytes do not have the SHA-256 that was declared: 400 for bytes in the request, 422 for an object in the store. Nothing was kept.',
    'Send the file again; if it happens again, compute the digest over the exact bytes you send.',
  ),
  unauthorized: entry(
    401,
    'Unauthorized',
    'The request carries no token, or one that this server does not know.',
    'Send `Authorization: Bearer TOKEN` with a token made by `windlass token`.',
  ),
  forbidden: entry(
    403,
    'Forbidden',
    'The token is valid but lacks the scope that this route asks for.',
    'Use a token with the scope named in `expected`.',
  ),
  link_invalid: entry(
    403,
    'Link refused',
    'The signed link was altered, has run out, or is used for another method, size, type or digest than it was signed for.',
    'Ask for a fresh link and send exactly the method, headers and bytes it was made for.',
  ),
  not_found: entry(
    404,
    'Not found',
    'There is nothing at this address, or nothing that this token may see; or this server does not offer the strategy.',
    'Check the id and the tenant of the token. Where `expected` is there, it names the strategies that are offered.',
  ),
  method_not_allowed: entry(
    405,
    'Method not allowed',
    'The path exists, but not with this method.',
    'Use one of the methods in the `Allow` header.',
  ),
  not_uploaded: entry(
    409,
    'Not uploaded yet',
    'The upload was reported complete, but the store has no such object, or not all of its parts.',
    'Upload the bytes with the signed link first, then report completion again.',
  ),
  not_stored: entry(
    409,
    'Not stored',
    'The upload is in a state in which its content cannot be read.',
    'Wait until its state is `stored`: `GET /v1/uploads/{id}` with `Prefer: wait=30`.',
  ),
  invalid_state: entry(
    409,
    'Not possible in this state',
    'What was asked for does not fit the state that the upload is in.',
    'Read the upload, then decide: `actual` names its state.',
  ),
  not_redrivable: entry(
    409,
    'Cannot be tried again',
    'Only a relayed upload that failed, and whose bytes are still in the spool, can be tried again.',
    'Upload the file again.',
  ),
  idempotency_in_progress: entry(
    409,
    'Still in progress',
    'A request with the same Idempotency-Key is being carried out right now.',
    'Wait as long as `Retry-After` says, then repeat the request.',
  ),
  conflict: entry(
    409,
    'Changed at the same time',
    'Somebody else changed the same record at the same moment, several times in a row.',
    'Read it again and repeat the request.',
  ),
  expired: entry(
    410,
    'Expired',
    'The upload was not completed in time; what had been uploaded for it is removed.',
    'Ask for a new upload.',
  ),
  length_required: entry(
    411,
    'Length required',
    'A signed link is made for a certain size, so the request has to carry Content-Length.',
    'Send a body of known length.',
  ),
  precondition_failed: entry(
    412,
    'Precondition failed',
    'The resource is no longer the version that If-Match names.',
    'Read it again, apply your change to what it is now, and send the new ETag.',
  ),
  too_large: entry(
    413,
    'Too large',
    'The file, or a field of the form, is larger than this server takes.',
    'Read `limit`. Larger files need a higher MAX_UPLOAD_BYTES.',
  ),
  type_not_allowed: entry(
    415,
    'Type not allowed',
    'The declared media type is not among those that this server takes, or not one this route understands.',
    'Read `expected` for the types that are taken.',
  ),
  range_not_satisfiable: entry(
    416,
    'Range not satisfiable',
    'The requested range lies outside the content.',
    'Content-Range names the size.',
  ),
  idempotency_key_reused: entry(
    422,
    'Idempotency-Key reused',
    'The Idempotency-Key was used before for a different request.',
    'Use a new key for a new request.',
  ),
  size_mismatch: entry(
    422,
    'Size mismatch',
    'The object in the store has another size than was declared. It was discarded.',
    'Start a new upload with the true size.',
  ),
  type_mismatch: entry(
    422,
    'Type mismatch',
    'The object in the store has another media type than was declared. It was discarded.',
    'Start a new upload and send the declared Content-Type.',
  ),
  content_mismatch: entry(
    422,
    'Content mismatch',
    'The first bytes are those of a type that contradicts the declared one. The file was discarded.',
    'Declare the type that the file really has; `actual` names what was recognised.',
  ),
  resource_uploads_invalid: entry(
    422,
    'Uploads cannot be linked',
    'At least one of the named uploads cannot be linked; the resource is unchanged.',
    'Read `errors`: one entry for each file, with its own code.',
  ),
  headers_too_large: entry(
    431,
    'Headers too large',
    'The request line and headers are larger than this server takes.',
    'Send fewer or shorter headers.',
  ),
  rate_limited: entry(429, 'Too many requests', 'The tenant has used up its rate.', 'Wait as long as `Retry-After` says.'),
  aborted: entry(
    499,
    'Client closed the request',
    'The client went away in the middle of its request. Nothing was kept.',
    'Send the request again.',
  ),
  internal: entry(
    500,
    'Internal error',
    'Something went wrong that should not have. The log has the details under the request id.',
    'Repeat the request; if it fails again, tell the operator the `requestId`.',
  ),
  draining: entry(
    503,
    'Shutting down',
    'This process is being stopped and takes no new uploads.',
    'Repeat the request; another replica will take it.',
  ),
  busy: entry(
    503,
    'Busy',
    'As many uploads as this server takes at once are in flight.',
    'Repeat the request after `Retry-After` seconds.',
  ),
  repository_unavailable: entry(
    503,
    'Database unavailable',
    'The database did not answer, or not in time.',
    'Repeat the request after `Retry-After` seconds, with an Idempotency-Key.',
  ),
  node_unavailable: entry(
    503,
    'Server unavailable',
    'The file is on the disk of another server, or was on its way there, and that server does not answer.',
    'Repeat the request after `Retry-After` seconds. It keeps failing until that server, or its volume, is back.',
  ),
  queue_unavailable: entry(
    503,
    'Queue unavailable',
    'The message broker did not answer, or not in time.',
    'Repeat the request after `Retry-After` seconds.',
  ),
  store_unavailable: entry(
    503,
    'Object store unavailable',
    'The object store did not answer, or not in time.',
    'Repeat the request after `Retry-After` seconds.',
  ),
  spool_full: entry(
    507,
    'Disk full',
    'The disk of this server has less free space than it must keep.',
    'Repeat the request after `Retry-After` seconds; the operator has to add space or wait until the store takes what waits.',
  ),
  upload_timeout: entry(
    408,
    'Upload too slow',
    'No bytes arrived for longer than this server waits, or they arrive more slowly than it takes.',
    'Send the file again over a better connection.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** One place in a request that is wrong: a JSON pointer (RFC 6901) and what is wrong there. */
export interface FieldError {
  pointer: string;
  detail: string;
  code?: string;
}

/** Members that a problem document carries beside the fixed ones. */
export interface ErrorExtras {
  limit?: number;
  expected?: unknown;
  actual?: unknown;
  errors?: FieldError[];
  allow?: string[];
}

export interface WindlassErrorOptions extends ErrorExtras {
  cause?: unknown;
  /** Seconds after which trying again makes sense; becomes Retry-After. */
  retryAfter?: number;
  /** Answers with another status than the table's, where the contract has one code under two. */
  status?: number;
}

/** The only error class of the project: what is thrown on purpose has a code, everything else is a bug. */
export class WindlassError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly extras: ErrorExtras;
  readonly retryAfter: number | null;
  readonly status: number;

  constructor(code: ErrorCode, detail: string, options: WindlassErrorOptions = {}) {
    const { cause, retryAfter, status, ...extras } = options;
    super(`${code}: ${detail}`, cause === undefined ? undefined : { cause });
    this.name = 'WindlassError';
    this.code = code;
    this.detail = detail;
    this.extras = extras;
    this.retryAfter = retryAfter ?? null;
    this.status = status ?? ERRORS[code].status;
  }
}

export const isWindlassError = (error: unknown): error is WindlassError =>
  error !== null && typeof error === 'object' && 'name' in error && error.name === 'WindlassError';

/** The code of a WindlassError, a Node error or nothing. Realms differ under Jest, so `instanceof` is not asked. */
export const codeOf = (error: unknown): string | null =>
  error !== null && typeof error === 'object' && 'code' in error && typeof error.code === 'string' ? error.code : null;
