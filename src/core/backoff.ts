/** Exponential backoff: how long to pause after a failure that may pass. */
export interface BackoffTerms {
  /** Pause after the first failure, in seconds. */
  RETRY_BASE_SECONDS: number;
  /** Longest pause, in seconds. */
  RETRY_MAX_SECONDS: number;
}

/** Milliseconds to pause after the `failures`-th failure in a row (from 1): base, doubled with each further one, up to the maximum. */
export function backoffMs(failures: number, { RETRY_BASE_SECONDS, RETRY_MAX_SECONDS }: BackoffTerms): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 40);
  return Math.min(RETRY_BASE_SECONDS * 2 ** doublings, RETRY_MAX_SECONDS) * 1000;
}
