import type { Readable } from 'node:stream';

/** Bytes from `start` to `end`, both included, as in an HTTP Range. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface DiskEntry {
  key: string;
  size: number;
  /** Epoch ms. */
  modifiedAt: number;
}

/** A file that is being written and is not there under its key until `commit` has returned. */
export interface DiskFile {
  readonly key: string;
  /** Bytes written so far. */
  readonly size: number;
  /** Appends. The chunks may be reused by the caller only after the promise has settled. Throws `spool_full` on ENOSPC or EDQUOT. */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * Flushes file and folder to the disk (fsync) and gives the file its name in one atomic step. `sha256` (lower-case hex)
   * is what was written: on the disk of another server the bytes that arrived are held against it, and without it refused.
   */
  commit(sha256?: string): Promise<void>;
  /** Removes what was written. Safe after `commit` (then it does nothing) and more than once. */
  discard(): Promise<void>;
}

/**
 * A folder on a server's disk that holds whole files by key (see core/keys.ts): the spool, direct files.
 * Failure contract: `object_not_found` is never thrown but answered by null or false; every unexpected system error is
 * passed on as it is, with its `code`.
 */
export interface Disk {
  /** Throws `spool_full` when free space is below the watermark, counting `expectedSize` (bytes) where it is known. */
  create(key: string, expectedSize: number | null): Promise<DiskFile>;
  stat(key: string): Promise<DiskEntry | null>;
  /** The bytes, or null when there is no such file. */
  read(key: string, range?: ByteRange): Promise<Readable | null>;
  /** True if there was a file. The removal is flushed to the disk. */
  remove(key: string): Promise<boolean>;
  /** The keys of all files that begin with `prefix`, in no particular order. No file is asked about itself. */
  keys(prefix: string): AsyncIterable<string>;
  /** Leftovers of uploads that were never committed, last touched before `before` (epoch ms). `remove` false only counts. */
  sweepUnfinished(before: number, remove: boolean): Promise<number>;
  /** Bytes of the file system that holds the folder. */
  space(): Promise<{ freeBytes: number; capacityBytes: number }>;
}
