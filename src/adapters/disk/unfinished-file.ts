import { stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../errors.ts';
import type { DiskFile } from '../../ports/disk.ts';
import { byteLengthOf, ignoreMissing } from './file-writing.ts';
import type { Folders } from './folders.ts';
import { type Reservation, spoolFull } from './free-space.ts';
import { entryOf, type FileEntry } from './stored-file.ts';
import type { TemporaryFile } from './temporary-file.ts';

export interface UnfinishedFileParts {
  key: string;
  /** Where the bytes lie until they are committed; on the same file system as `target`. */
  temporary: TemporaryFile;
  target: string;
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
  #state: State = 'open';
  #size = 0;
  #renamed = false;
  #committing: Promise<void> | null = null;
  #discarding: Promise<void> | null = null;

  constructor(parts: UnfinishedFileParts) {
    this.#parts = parts;
  }

  get key(): string {
    return this.#parts.key;
  }

  get size(): number {
    return this.#size;
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    this.#assertOpen();
    const bytes = byteLengthOf(chunks);
    if (bytes === 0) return;
    const { temporary, reservation } = this.#parts;
    await reservation?.cover(bytes);
    this.#assertOpen();
    await temporary.append(chunks, this.#size).catch(translateNoSpace);
    this.#size += bytes;
    reservation?.spend(bytes);
  }

  /** Flushes the bytes; the file as it will be found after `commit`. Nothing can be written after it. */
  async seal(): Promise<FileEntry> {
    await this.#flush();
    return this.#parts.temporary.entry(this.key);
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
    const { temporary, target, folders, reservation, onEnd } = this.#parts;
    const folder = dirname(target);
    await folders.within(folder, () => temporary.rename(target));
    this.#renamed = true;
    await folders.sync(folder);
    this.#state = 'committed';
    // Nothing of the file depends on it any more.
    await temporary.close().catch(() => undefined);
    reservation?.release();
    onEnd();
  }

  async #discard(): Promise<void> {
    if (this.#committing) await this.#committing.catch(() => undefined);
    if (this.#state === 'committed') return;
    this.#state = 'discarded';
    const { temporary, reservation, onEnd } = this.#parts;
    try {
      if (this.#renamed) await this.#takeBack();
      await temporary.remove();
    } finally {
      reservation?.release();
      onEnd();
    }
  }

  /** The commit failed after the rename: nobody may find the file, unless somebody has put another one in its place. */
  async #takeBack(): Promise<void> {
    const { target, temporary } = this.#parts;
    const found = await stat(target, { bigint: true }).catch(ignoreMissing);
    const own = await temporary.entry(this.key);
    if (found && entryOf(this.key, found).etag === own.etag) await unlink(target).catch(ignoreMissing);
  }

  async #flush(): Promise<void> {
    this.#assertOpen();
    this.#state = 'sealed';
    await this.#parts.temporary.flush().catch(translateNoSpace);
  }

  #assertOpen(): void {
    if (this.#state !== 'open') throw new Error(`${this.key} is ${this.#state}`);
  }
}

function translateNoSpace(error: unknown): never {
  const code = codeOf(error);
  throw code === 'ENOSPC' || code === 'EDQUOT' ? spoolFull(error) : error;
}
