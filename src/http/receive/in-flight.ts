import type { Strategy } from '../../core/upload.ts';
import { WindlassError } from '../../errors.ts';
import type { Platform } from '../../platform.ts';

const RETRY_AFTER_SECONDS = 2;

/** Counts the uploads being received by this process, and refuses more than it can take at once. */
export class InFlight {
  readonly #max: number;
  readonly #gauge: Platform['metrics']['uploadsInFlight'];
  #count = 0;

  constructor({ config, metrics }: Pick<Platform, 'config' | 'metrics'>) {
    this.#max = config.MAX_UPLOADS_IN_FLIGHT;
    this.#gauge = metrics.uploadsInFlight;
  }

  /** Throws `busy`. */
  async hold<T>(strategy: Strategy, work: () => Promise<T>): Promise<T> {
    if (this.#count >= this.#max)
      throw new WindlassError('busy', `${this.#max} uploads are in flight.`, { limit: this.#max, retryAfter: RETRY_AFTER_SECONDS });
    this.#count += 1;
    this.#gauge.inc({ strategy });
    try {
      return await work();
    } finally {
      this.#count -= 1;
      this.#gauge.dec({ strategy });
    }
  }
}
