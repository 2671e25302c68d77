import { ERRORS, type ErrorCode, type FieldError } from '../errors.ts';

/** Nobody answers at an address: no such host, refused, cut, or silent for too long. */
export class Unreachable extends Error {
  readonly code = 'unreachable';
  /** Scheme, host and port. */
  readonly origin: string;
  /** Whether trying again soon may help: a cut connection, but not a host that does not exist. */
  readonly passing: boolean;

  constructor(origin: string, cause: Error & { code?: string }) {
    super(`cannot reach ${origin}: ${REASONS[cause.code ?? ''] ?? (cause.message || cause.code || 'connection failed')}`, { cause });
    this.name = 'Unreachable';
    this.origin = origin;
    this.passing = !LASTING.has(cause.code ?? '') && !/^(?:CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(cause.code ?? '');
  }
}

const LASTING = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EPROTO', 'ERR_INVALID_URL']);
const REASONS: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ETIMEDOUT: 'no answer in time',
};

/** What a problem document (RFC 9457) says; `status` is all that is sure when the answer was none. */
export interface Problem {
  status: number;
  title: string;
  detail: string;
  code: string | null;
  /** Where the error is explained. */
  type: string | null;
  requestId: string | null;
  errors: FieldError[];
  /** Members that help: `limit`, `expected`, `actual`. */
  facts: Record<string, unknown>;
  /** Seconds. */
  retryAfter: number | null;
}

/** The server answered, but not with what was asked for. */
export class Refused extends Error {
  readonly code: string;
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.name = 'Refused';
    this.code = problem.code ?? `http_${problem.status}`;
    this.problem = problem;
  }
}

/** Something on this side: a file that cannot be read, that changes while it is sent, or that came out damaged. */
export class LocalFailure extends Error {
  readonly code: string;
  readonly advice: string;

  constructor(code: string, message: string, advice: string) {
    super(message);
    this.name = 'LocalFailure';
    this.code = code;
    this.advice = advice;
  }
}

export const isUnreachable = (error: unknown): error is Unreachable => error instanceof Unreachable;
export const isRefused = (error: unknown): error is Refused => error instanceof Refused;

const FILE_ERRORS: Record<string, string> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read or written by this user',
  EPERM: 'it may not be read or written by this user',
  EISDIR: 'it is a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
};

/** An error in words: what happened, and what to do next. Never a stack. */
export interface Explanation {
  code: string;
  message: string;
  /** Further lines: places in the request, limits, what was expected. */
  places: string[];
  advice: string | null;
  /** Address of the explanation on the server. */
  link: string | null;
  requestId: string | null;
}

export function explain(error: unknown): Explanation {
  const plain = { places: [], advice: null, link: null, requestId: null };
  if (isRefused(error)) return explainRefusal(error);
  if (isUnreachable(error))
    return {
      ...plain,
      code: error.code,
      message: error.message,
      advice: 'Check that the server runs and that --url or WINDLASS_URL names it.',
    };
  if (error instanceof LocalFailure) return { ...plain, code: error.code, message: error.message, advice: error.advice };
  const { code = 'failed', message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error) };
  return { ...plain, code, message: FILE_ERRORS[code] ?? message };
}

function explainRefusal({ code, problem }: Refused): Explanation {
  const known = Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode] : null;
  return {
    code,
    message: problem.detail ? `${problem.title}: ${problem.detail}` : problem.title,
    places: [
      ...problem.errors.map(({ pointer, detail }) => `at ${pointer}: ${detail}`),
      ...Object.entries(problem.facts).map(([name, fact]) => `${name}: ${typeof fact === 'string' ? fact : JSON.stringify(fact)}`),
    ],
    advice: ADVICE[code] ?? known?.cure ?? null,
    link: problem.type,
    requestId: known && problem.status < 500 ? null : problem.requestId,
  };
}

/** Where the command line has a better next step than the API's own. */
const ADVICE: Record<string, string> = {
  unauthorized: 'Set WINDLASS_TOKEN, or name a file that holds the token with --token-file. `windlass token` makes one.',
  content_mismatch: 'Say what the file really is with --type.',
  digest_mismatch: 'If the file changed while it was sent, run the command again.',
  type_not_allowed: 'Say what the file is with --type, if it was guessed wrong.',
  invalid_request: 'Change what is named above and run the command again.',
  too_large: 'The server takes no larger files; whoever runs it can raise MAX_UPLOAD_BYTES.',
  not_stored: 'Wait for it: windlass status ID --wait',
  idempotency_in_progress: 'Run the command again in a moment.',
};
