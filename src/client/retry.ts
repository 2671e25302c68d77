import { isRefused, isUnreachable } from './failures.ts';

/** Seven pauses of together about 45 s: a server that is restarted meanwhile costs time, not uploads. */
const ATTEMPTS = 8;
const BASE_MS = 500;
const MAX_MS = 15_000;
const MAX_RETRY_AFTER_MS = 60_000;

const PASSING_STATUS = new Set([408, 425, 429, 500, 502, 503, 504, 507]);
const PASSING_CODES = new Set(['idempotency_in_progress', 'conflict']);

export interface RetryTerms {
  /** Whether an address was reached before: one that never was is given up at once. */
  hasReached: (origin: string) => boolean;
  sleep: (ms: number) => Promise<unknown>;
  random: () => number;
  /** Told before each pause. */
  onRetry?: ((error: unknown, pauseMs: number) => void) | undefined;
}

/** Runs a step that can be repeated safely until it succeeds, fails for good, or has failed too often; then throws the last error. */
export async function retrying<T>(terms: RetryTerms, step: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (attempt >= ATTEMPTS || !mayPass(error, terms.hasReached)) throw error;
      const pause = pauseAfter(error, attempt, terms.random());
      terms.onRetry?.(error, pause);
      await terms.sleep(pause);
    }
  }
}

function mayPass(error: unknown, hasReached: (origin: string) => boolean): boolean {
  if (isUnreachable(error)) return error.passing || hasReached(error.origin);
  return isRefused(error) && (PASSING_STATUS.has(error.problem.status) || PASSING_CODES.has(error.code));
}

/** What the server asked for, or exponential backoff with full jitter in its upper half, so that clients do not come back in step. */
function pauseAfter(error: unknown, attempt: number, random: number): number {
  const asked = isRefused(error) ? error.problem.retryAfter : null;
  if (asked !== null) return Math.min(asked * 1000, MAX_RETRY_AFTER_MS);
  const ceiling = Math.min(BASE_MS * 2 ** (attempt - 1), MAX_MS);
  return ceiling * (0.5 + random / 2);
}
