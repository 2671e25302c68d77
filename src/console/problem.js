const PASSING = new Set(['connection_lost', 'link_refused', 'idempotency_in_progress', 'conflict']);

/** Anything that went wrong, in the terms of RFC 9457. `status` is 0 when there was no answer. */
export class Problem extends Error {
  constructor({ status = 0, code, title, detail, requestId = null, retryAfter = null, errors = [], limit = null }) {
    super(`${title}: ${detail}`);
    this.name = 'Problem';
    Object.assign(this, { status, code, title, detail, requestId, retryAfter, errors, limit });
  }

  /** Whether the same request may succeed a little later. */
  get passing() {
    return [429, 502, 503, 504, 507].includes(this.status) || PASSING.has(this.code);
  }
}

export const connectionLost = (detail) => new Problem({ code: 'connection_lost', title: 'Connection lost', detail });

export const lostAt = (url) =>
  connectionLost(
    `The connection to ${new URL(url).host} broke or was refused. Check that you are online. If it fails at once each time, the store may not let pages of this origin in (CORS): \`windlass doctor\` checks that.`,
  );

export const fileChanged = () =>
  new Problem({
    code: 'file_unreadable',
    title: 'The file cannot be read',
    detail: 'It was changed, moved or removed since it was chosen, or it is a folder. Choose it again.',
  });

/** The problem that an unsuccessful answer tells of: our own document, or what an object store or a proxy says instead. */
export function problemFrom({ status, header, text }) {
  const retryAfter = secondsOf(header('Retry-After'));
  const document = header('Content-Type')?.includes('json') ? parsed(text) : null;
  if (document?.code) return new Problem({ ...document, status, retryAfter });
  const [, storeCode] = /<Code>([^<]{1,100})<\/Code>/.exec(text) ?? [];
  const [, message] = /<Message>([^<]{1,300})<\/Message>/.exec(text) ?? [];
  if (storeCode)
    return new Problem({
      status,
      retryAfter,
      code: 'store_answer',
      title: `The store answered ${storeCode}`,
      detail: message ?? `Status ${status}.`,
    });
  return new Problem({
    status,
    retryAfter,
    code: 'unexpected_answer',
    title: `Answer ${status}`,
    detail: 'The answer is not one of this server; a proxy in between may have given it.',
  });
}

/** Whatever was thrown, as a problem. */
export const asProblem = (error) =>
  error instanceof Problem
    ? error
    : new Problem({ code: 'page_error', title: 'The page failed', detail: error instanceof Error ? error.message : String(error) });

export const isAbort = (error) => error?.name === 'AbortError';

function secondsOf(header) {
  if (!header) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(seconds, 0) : null;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
