import { setTimeout as pause } from 'node:timers/promises';

/** Lets bytes through at a rate, in the order in which they ask. A pause that was not used is not made up for later. */
export class Throttle {
  readonly #bytesPerSecond: number;
  readonly #clock: () => number;
  readonly #pause: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** When all bytes let through so far are paid for; ms. */
  #paidUntil = 0;

  /** `bytesPerSecond` 0 sets no limit. `clock` counts ms from any beginning. */
  constructor(
    bytesPerSecond: number,
    clock: () => number,
    wait: (ms: number, signal: AbortSignal) => Promise<unknown> = (ms, signal) => pause(ms, undefined, { signal }),
  ) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#pause = wait;
  }

  /** Resolves when these bytes may go; rejects when the signal is aborted. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#bytesPerSecond === 0) return;
    const now = this.#clock();
    const from = Math.max(this.#paidUntil, now);
    this.#paidUntil = from + (bytes / this.#bytesPerSecond) * 1000;
    if (from > now) await this.#pause(from - now, signal);
  }
}
