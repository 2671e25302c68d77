/** About what the pool's threads, waiting side by side, need for a small file of a busy server. */
const SLOW_MS = 0.4;
/** So many files in a row change the opinion of a disk, whatever was thought of it before. */
const MAX_VOTES = 16;
/** While a disk is slow, one of so many files finds out whether it still is. */
const PROBE_EVERY = 64;

/**
 * Whether a disk is so quick at small files that one thread does better than many. Most files decide: on a busy machine
 * some take long because the thread had to wait for a processor. Taken for quick until it is known.
 */
export class Pace {
  /** How many more were slow, of late. */
  #votes = 0;
  #since = 0;

  take(): boolean {
    if (this.#votes <= 0) return true;
    this.#since = (this.#since + 1) % PROBE_EVERY;
    return this.#since === 0;
  }

  /** How long a file took, in milliseconds. */
  took(ms: number): void {
    const votes = this.#votes + (ms > SLOW_MS ? 1 : -1);
    this.#votes = Math.max(-MAX_VOTES, Math.min(MAX_VOTES, votes));
  }
}
