import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { collectYoungGarbage } from '../../chunk-memory.ts';
import type { ByteRange } from '../../ports/disk.ts';

/**
 * Larger pieces take no less CPU time, and with many readers three times as much, since their memory is mapped anew for
 * each. Each slow reader holds up to two.
 */
const READ_BYTES = 128 * 1024;

/** Bytes of an open file, which it owns from now on and closes when it ends or is destroyed. */
export class FileBytes extends Readable {
  readonly #handle: FileHandle;
  #at: number;
  readonly #end: number;

  /** A file that turns out shorter than the range ends where it ends. */
  constructor(handle: FileHandle, { start, end }: ByteRange) {
    super({ highWaterMark: READ_BYTES });
    this.#handle = handle;
    this.#at = start;
    this.#end = end;
  }

  override _read(): void {
    const length = Math.min(READ_BYTES, this.#end + 1 - this.#at);
    if (length <= 0) {
      this.push(null);
      return;
    }
    this.#handle.read(Buffer.allocUnsafeSlow(length), 0, length, this.#at).then(
      ({ bytesRead, buffer }) => {
        this.#at += bytesRead;
        collectYoungGarbage(bytesRead);
        this.push(bytesRead === 0 ? null : buffer.subarray(0, bytesRead));
      },
      (error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#handle.close().then(
      () => done(error),
      (failure) => done(error ?? failure),
    );
  }
}
