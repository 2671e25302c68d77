import type { FileEntry } from './stored-file.ts';

/** The bytes of a file in the making, under a name that nobody looks for. Rejects with the system's errors as they are. */
export interface TemporaryFile {
  /** Appends to the `size` bytes that are there. The chunks may be reused once the promise has settled. */
  append(chunks: readonly Uint8Array[], size: number): Promise<void>;
  /** Resolves when all bytes are on the disk. Nothing is appended after it. */
  flush(): Promise<void>;
  /** The file as it is found under `key`. Only after `flush`. */
  entry(key: string): Promise<FileEntry>;
  rename(target: string): Promise<void>;
  /** When it has been renamed. */
  close(): Promise<void>;
  /** Takes it away, whatever has been done with it before, but for what it was renamed to. */
  remove(): Promise<void>;
}
