import type { FileHandle } from 'node:fs/promises';

const STEP_BYTES = 16 * 1024 ** 2;

/**
 * Sends what is there of a large file to the disk while more of it comes: little is left to flush at its end, when its
 * client waits. One file at a time, since a flush holds a thread of the pool in which others are written.
 */
export class EarlyFlush {
  static #busy = false;
  readonly #handle: Pick<FileHandle, 'datasync'>;
  #flushed = 0;
  #running: Promise<void> = Promise.resolve();
  #failure: unknown = null;

  constructor(handle: Pick<FileHandle, 'datasync'>) {
    this.#handle = handle;
  }

  /** Told after each write how many bytes the file has. */
  written(size: number): void {
    if (EarlyFlush.#busy || size - this.#flushed < STEP_BYTES) return;
    EarlyFlush.#busy = true;
    this.#flushed = size;
    this.#running = this.#handle
      .datasync()
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        EarlyFlush.#busy = false;
      });
  }

  /** Resolves when no flush is under way. Rejects when one has failed: the system tells of lost bytes once, not at the next flush. */
  async end(): Promise<void> {
    await this.#running;
    if (this.#failure !== null) throw this.#failure;
  }
}
