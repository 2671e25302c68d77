interface PeriodicOptions {
  /** Milliseconds from the end of one run to the next; with 0 there is none. */
  intervalMs: number;
  /** Milliseconds until the first, if that is sooner. */
  firstMs: number;
  run: (signal: AbortSignal) => Promise<unknown>;
  /** Told why a run failed, unless it was broken off; the next one comes all the same. */
  onFailure: (error: unknown) => void;
}

/** Work that is done again and again, never twice at once. */
export class Periodic {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopping = new AbortController();

  /** Aborted by `stop`. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  start(options: PeriodicOptions): void {
    if (options.intervalMs === 0) return;
    this.#stopping = new AbortController();
    this.#runIn(Math.min(options.firstMs, options.intervalMs), options);
  }

  /** Resolves when the run under way, which is told to break off, has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the server is being stopped'));
    clearTimeout(this.#timer);
    await this.#running;
  }

  #runIn(ms: number, options: PeriodicOptions): void {
    const { signal } = this;
    this.#timer = setTimeout(async () => {
      this.#running = options.run(signal).then(
        () => undefined,
        (error: unknown) => {
          if (!signal.aborted) options.onFailure(error);
        },
      );
      await this.#running;
      if (!signal.aborted) this.#runIn(options.intervalMs, options);
    }, ms);
  }
}
