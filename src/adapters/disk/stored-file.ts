import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { ByteRange, DiskEntry } from '../../ports/disk.ts';
import { FileBytes } from './file-bytes.ts';

export interface FileEntry extends DiskEntry {
  /** Changes whenever the file is written again; the same for a hard link. */
  etag: string;
}

/** The etag is made of inode, size and time of the last write: no file that is written anew has the same. */
export const entryOf = (key: string, { ino, size, mtimeNs }: BigIntStats): FileEntry => ({
  key,
  size: Number(size),
  modifiedAt: Number(mtimeNs / 1_000_000n),
  etag: [ino, size, mtimeNs].map((number) => number.toString(36)).join('-'),
});

/** An open file: what is said about it and what is read from it belong together, whatever takes its name meanwhile. */
export class StoredFile {
  readonly entry: FileEntry;
  readonly #handle: FileHandle;

  constructor(entry: FileEntry, handle: FileHandle) {
    this.entry = entry;
    this.#handle = handle;
  }

  /** The stream owns the file from now on, and closes it when it ends or its reader goes away. */
  stream(range?: ByteRange): Readable {
    return new FileBytes(this.#handle, range ?? { start: 0, end: this.entry.size - 1 });
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
