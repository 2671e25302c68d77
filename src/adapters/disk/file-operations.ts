import { closeSync, constants, fdatasyncSync, fstatSync, openSync, renameSync, unlinkSync, writevSync } from 'node:fs';
import { answer, type NamedCall, type Reply } from '../background/messages.ts';
import { byteLengthOf, FILE_MODE, noBytesTaken, skip, WRITE_THROUGH } from './file-writing.ts';
import { entryOf, type FileEntry } from './stored-file.ts';

/** What a file is after an append, and how long the disk took for it (milliseconds). */
export interface Appended {
  entry: Pick<FileEntry, 'etag' | 'size' | 'modifiedAt'>;
  tookMs: number;
}

/** What the background thread does with files. Each is a few calls to the file system, none of which may leave a file open. */
const OPERATIONS = {
  /** Appends to a file that no one else writes, new for `isNew`; when it returns the bytes are on the disk. */
  'files.append': (path: string, isNew: boolean, chunks: readonly Uint8Array[]): Appended => {
    const from = performance.now();
    const flags = isNew ? constants.O_CREAT | constants.O_EXCL : constants.O_APPEND;
    const file = openSync(path, constants.O_WRONLY | WRITE_THROUGH | flags, FILE_MODE);
    try {
      let left = byteLengthOf(chunks);
      for (let rest = chunks; left > 0; ) {
        const written = writevSync(file, rest);
        if (written === 0) throw noBytesTaken();
        left -= written;
        if (left > 0) rest = skip(rest, written);
      }
      if (WRITE_THROUGH === 0) fdatasyncSync(file);
      const { etag, size, modifiedAt } = entryOf('', fstatSync(file, { bigint: true }));
      return { entry: { etag, size, modifiedAt }, tookMs: performance.now() - from };
    } finally {
      closeSync(file);
    }
  },
  'files.rename': (from: string, to: string): void => renameSync(from, to),
  'files.remove': (path: string): void => unlinkSync(path),
};

export type FileOperations = typeof OPERATIONS;

export const isFileCall = (name: string): boolean => Object.hasOwn(OPERATIONS, name);

/** In the order in which they were asked for. */
export const carryOutFileCalls = (calls: readonly NamedCall[]): Reply =>
  answer(calls, ({ name, args }) => (OPERATIONS[name as keyof FileOperations] as (...args: unknown[]) => unknown)(...args));
