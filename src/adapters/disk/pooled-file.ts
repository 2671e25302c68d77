import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { EarlyFlush } from './early-flush.ts';
import { byteLengthOf, FILE_MODE, ignoreMissing, noBytesTaken, skip, WRITE_THROUGH } from './file-writing.ts';
import { entryOf, type FileEntry } from './stored-file.ts';
import type { TemporaryFile } from './temporary-file.ts';

/** Creates the file. `small`: it is mostly written at once, and flushed by that. */
export async function createPooledFile(path: string, small: boolean): Promise<PooledFile> {
  const through = small ? WRITE_THROUGH : 0;
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | through, FILE_MODE);
  return new PooledFile(path, handle, through !== 0);
}

/** A file whose calls are made by the threads of Node's pool, which wait for the disk side by side. */
export class PooledFile implements TemporaryFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  /** A write returns when its bytes are on the disk: there is nothing to flush at the end. */
  readonly #writesThrough: boolean;
  readonly #early: EarlyFlush;

  constructor(path: string, handle: FileHandle, writesThrough: boolean) {
    this.#path = path;
    this.#handle = handle;
    this.#writesThrough = writesThrough;
    this.#early = new EarlyFlush(handle);
  }

  async append(chunks: readonly Uint8Array[], size: number): Promise<void> {
    const end = size + byteLengthOf(chunks);
    let rest = chunks;
    for (let at = size; at < end; ) {
      const { bytesWritten } = await this.#handle.writev(rest, at);
      if (bytesWritten === 0) throw noBytesTaken();
      at += bytesWritten;
      if (at < end) rest = skip(rest, bytesWritten);
    }
    this.#early.written(end);
  }

  async flush(): Promise<void> {
    await this.#early.end();
    if (!this.#writesThrough) await this.#handle.datasync();
  }

  async entry(key: string): Promise<FileEntry> {
    return entryOf(key, await this.#handle.stat({ bigint: true }));
  }

  rename(target: string): Promise<void> {
    return rename(this.#path, target);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  async remove(): Promise<void> {
    // Waits for a write that is under way.
    await this.#handle.close();
    await unlink(this.#path).catch(ignoreMissing);
  }
}
