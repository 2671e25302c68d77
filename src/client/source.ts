import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { LocalFailure } from './failures.ts';

const READ_BYTES = 256 * 1024;
/** What a record's filename may not have: the server would refuse it. */
const UNSENDABLE = /[\p{Cc}\p{Cs}\u2028\u2029]/gu;

/** A file that can be read from any offset, as often as needed. */
export interface FileSource {
  kind: 'file';
  path: string;
  name: string;
  size: number;
  /** Epoch ms; with path and size it tells whether the file is still the same. */
  modifiedAt: number;
}

/** Bytes that come once, and whose number is known at the end: stdin, a pipe. */
interface StreamSource {
  kind: 'stream';
  name: string;
  open(): Readable;
}

export type Source = FileSource | StreamSource;

/** Finds out what FILE names; `-` is stdin. `name` takes the place of the file's own. Throws LocalFailure for a folder. */
export async function openSource(file: string, stdin: Readable, name?: string): Promise<Source> {
  if (file === '-') return { kind: 'stream', name: cleanName(name ?? 'stdin'), open: () => stdin };
  const path = resolve(file);
  const found = await stat(path);
  const own = cleanName(name ?? basename(path));
  if (found.isDirectory()) throw new LocalFailure('EISDIR', 'it is a folder', 'Name its files: windlass upload FOLDER/*');
  if (!found.isFile()) return { kind: 'stream', name: own, open: () => readable(path) };
  return { kind: 'file', path, name: own, size: found.size, modifiedAt: found.mtimeMs };
}

const cleanName = (name: string): string => name.replaceAll(UNSENDABLE, '_') || 'upload';

/** Bytes from `start`, `length` of them, of a file that was opened as a source. */
export const readRange = ({ path }: FileSource, start: number, length: number): Readable =>
  length === 0 ? Readable.from([]) : readable(path, { start, end: start + length - 1 });

/** A failing disk must not look like a failing network. */
function readable(path: string, range: { start?: number; end?: number } = {}): Readable {
  return Readable.from(
    (async function* () {
      try {
        yield* createReadStream(path, { ...range, highWaterMark: READ_BYTES });
      } catch (error) {
        const { code = 'EIO', message } = error as NodeJS.ErrnoException;
        throw new LocalFailure(code, `the file can no longer be read: ${message}`, 'Check the file and run the command again.');
      }
    })(),
    { objectMode: false, highWaterMark: READ_BYTES },
  );
}

/** Lower-case hex of the whole file. */
export async function sha256Of(source: FileSource): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of readRange(source, 0, source.size)) hash.update(chunk);
  return hash.digest('hex');
}
