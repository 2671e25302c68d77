import { statfs } from 'node:fs/promises';
import { WindlassError } from '../../errors.ts';

export interface Space {
  freeBytes: number;
  capacityBytes: number;
}

const CACHE_MS = 250;
const RETRY_AFTER_SECONDS = 30;
/** A file whose size nobody announced asks for this much at a time. */
const STEP_BYTES = 16 * 1024 ** 2;

/** What unprivileged processes can still use of the file system that holds `folder`. */
export async function measureSpace(folder: string): Promise<Space> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { freeBytes: bavail * bsize, capacityBytes: blocks * bsize };
}

export const spoolFull = (cause?: unknown): WindlassError =>
  new WindlassError('spool_full', 'The disk has less free space than it must keep.', { retryAfter: RETRY_AFTER_SECONDS, cause });

export interface FreeSpaceOptions {
  minFreeBytes: number;
  measure: () => Promise<Space>;
  /** Milliseconds, from any beginning. */
  clock: () => number;
}

/**
 * Admission to a disk. Bytes that were promised to files in progress count as used before they are written, so that many
 * uploads at once cannot slip under the watermark together.
 */
export class FreeSpace {
  readonly #options: FreeSpaceOptions;
  #free = 0;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #measuring: Promise<void> | null = null;
  #promised = 0;

  constructor(options: FreeSpaceOptions) {
    this.#options = options;
  }

  /** Throws `spool_full` when less than the watermark would be left. `bytes` null: the size is not known. */
  async reserve(bytes: number | null): Promise<Reservation> {
    await this.take(bytes ?? 0);
    return new Reservation(this, bytes ?? 0);
  }

  async take(bytes: number): Promise<void> {
    await this.#measure();
    if (this.#free - this.#promised - bytes < this.#options.minFreeBytes) throw spoolFull();
    this.#promised += bytes;
  }

  /** Promised bytes were written: they are gone from the disk even before it is measured again. */
  spend(bytes: number): void {
    this.#promised -= bytes;
    this.#free -= bytes;
  }

  giveBack(bytes: number): void {
    this.#promised -= bytes;
  }

  async #measure(): Promise<void> {
    if (this.#options.clock() - this.#measuredAt < CACHE_MS) return;
    this.#measuring ??= this.#options
      .measure()
      .then(({ freeBytes }) => {
        this.#free = freeBytes;
        this.#measuredAt = this.#options.clock();
      })
      .finally(() => {
        this.#measuring = null;
      });
    await this.#measuring;
  }
}

/** The part of the free space that is promised to one file. */
export class Reservation {
  readonly #space: FreeSpace;
  #left: number;

  constructor(space: FreeSpace, bytes: number) {
    this.#space = space;
    this.#left = bytes;
  }

  /** Asks for more when `bytes` go beyond what was promised. Throws `spool_full`. */
  async cover(bytes: number): Promise<void> {
    if (bytes <= this.#left) return;
    const more = Math.max(STEP_BYTES, bytes - this.#left);
    await this.#space.take(more);
    this.#left += more;
  }

  spend(bytes: number): void {
    this.#left -= bytes;
    this.#space.spend(bytes);
  }

  release(): void {
    this.#space.giveBack(this.#left);
    this.#left = 0;
  }
}
