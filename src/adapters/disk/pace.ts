/** About what the pool's threads, waiting side by side, need for a small file of a busy server. */
const QUICK_MS = 0.4;
/** A measurement counts as no more, and the last one so much in the mean of all: one that is far off changes nothing. */
const MAX_MS = 4 * QUICK_MS;
const WEIGHT = 1 / 16;
/** While a disk is slow, one of so many files finds out whether it still is. */
const PROBE_EVERY = 64;

/** Whether a disk is so quick at small files that one thread does better than many. Taken for quick until it is known. */
export class Pace {
  #meanMs = 0;
  #since = 0;

  take(): boolean {
    if (this.#meanMs <= QUICK_MS) return true;
    this.#since = (this.#since + 1) % PROBE_EVERY;
    return this.#since === 0;
  }

  /** How long a file took, in milliseconds. */
  took(ms: number): void {
    this.#meanMs += (Math.min(ms, MAX_MS) - this.#meanMs) * WEIGHT;
  }
}
