import { type FileHandle, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../errors.ts';
import type { DiskFile } from '../../ports/disk.ts';
import { EarlyFlush } from './early-flush.ts';
import type { Folders } from './folders.ts';
import { type Reservation, spoolFull } from './free-space.ts';
import { entryOf, type FileEntry } from './stored-file.ts';

export interface UnfinishedFileParts {
  key: string;
  /** Where the bytes lie until they are committed; on the same file system as `target`. */
  temporary: string;
  target: string;
  handle: FileHandle;
  /** Opened so that a write returns when its bytes are on the disk: there is nothing to flush at the end. */
  writesThrough: boolean;
  folders: Folders;
  /** Null for a file too small to count. */
  reservation: Reservation | null;
  /** Called once, when the file is committed or gone. */
  onEnd: () => void;
}

type State = 'open' | 'sealed' | 'committed' | 'discarded';

/** A file in the making: written beside the others, and given its name in one step when it is whole and on the disk. */
export class UnfinishedFile implements DiskFile {
  readonly #parts: UnfinishedFileParts;
  readonly #early: EarlyFlush;
  #state: State = 'open';
  #size = 0;
  #renamed = false;
  #committing: Promise<void> | null = null;
  #discarding: Promise<void> | null = null;

  constructor(parts: UnfinishedFileParts) {
    this.#parts = parts;
    this.#early = new EarlyFlush(parts.handle);
  }

  get key(): string {
    return this.#parts.key;
  }

  get size(): number {
    return this.#size;
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    this.#assertOpen();
    let left = 0;
    for (const chunk of chunks) left += chunk.byteLength;
    const { handle, reservation } = this.#parts;
    await reservation?.cover(left);
    let rest = chunks;
    while (left > 0) {
      this.#assertOpen();
      const { bytesWritten } = await handle.writev(rest, this.#size).catch(translateNoSpace);
      if (bytesWritten === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'EIO' });
      this.#size += bytesWritten;
      reservation?.spend(bytesWritten);
      left -= bytesWritten;
      if (left > 0) rest = skip(rest, bytesWritten);
    }
    this.#early.written(this.#size);
  }

  /** Flushes the bytes; the file as it will be found after `commit`. Nothing can be written after it. */
  async seal(): Promise<FileEntry> {
    await this.#flush();
    return entryOf(this.key, await this.#parts.handle.stat({ bigint: true }));
  }

  commit(): Promise<void> {
    this.#committing ??= this.#commit();
    return this.#committing;
  }

  discard(): Promise<void> {
    this.#discarding ??= this.#discard();
    return this.#discarding;
  }

  async #commit(): Promise<void> {
    if (this.#state === 'open') await this.#flush();
    if (this.#state !== 'sealed') throw new Error(`${this.key} is ${this.#state}`);
    const { temporary, target, folders, reservation, handle, onEnd } = this.#parts;
    const folder = dirname(target);
    await folders.make(folder);
    await rename(temporary, target).catch(async (error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
      folders.forget(folder);
      await folders.make(folder);
      await rename(temporary, target);
    });
    this.#renamed = true;
    await folders.sync(folder);
    this.#state = 'committed';
    // Nothing of the file depends on it any more.
    await handle.close().catch(() => undefined);
    reservation?.release();
    onEnd();
  }

  async #discard(): Promise<void> {
    if (this.#committing) await this.#committing.catch(() => undefined);
    if (this.#state === 'committed') return;
    this.#state = 'discarded';
    const { temporary, handle, reservation, onEnd } = this.#parts;
    try {
      if (this.#renamed) await this.#takeBack();
      // Closing waits for a write that is under way.
      await handle.close();
      await unlink(temporary).catch(ignoreMissing);
    } finally {
      reservation?.release();
      onEnd();
    }
  }

  /** The commit failed after the rename: nobody may find the file, unless somebody has put another one in its place. */
  async #takeBack(): Promise<void> {
    const { target, handle } = this.#parts;
    const found = await stat(target, { bigint: true }).catch(ignoreMissing);
    const own = await handle.stat({ bigint: true });
    if (found && entryOf(this.key, found).etag === entryOf(this.key, own).etag) await unlink(target).catch(ignoreMissing);
  }

  async #flush(): Promise<void> {
    this.#assertOpen();
    this.#state = 'sealed';
    try {
      await this.#early.end();
      if (!this.#parts.writesThrough) await this.#parts.handle.datasync();
    } catch (error) {
      translateNoSpace(error);
    }
  }

  #assertOpen(): void {
    if (this.#state !== 'open') throw new Error(`${this.key} is ${this.#state}`);
  }
}

function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

function translateNoSpace(error: unknown): never {
  const code = codeOf(error);
  throw code === 'ENOSPC' || code === 'EDQUOT' ? spoolFull(error) : error;
}

/** What is left of the chunks after a write that was shorter than asked for. */
function skip(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let gone = bytes;
  for (const chunk of chunks) {
    if (gone < chunk.byteLength) rest.push(gone > 0 ? chunk.subarray(gone) : chunk);
    gone = Math.max(0, gone - chunk.byteLength);
  }
  return rest;
}
