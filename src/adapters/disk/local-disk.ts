import { constants, type Dirent } from 'node:fs';
import { link, lstat, open, opendir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { codeOf } from '../../errors.ts';
import type { ByteRange, Disk } from '../../ports/disk.ts';
import type { Background } from '../background/background.ts';
import { folderOfPrefix, isSegment, pathOfKey } from './disk-key.ts';
import { FileCalls } from './file-calls.ts';
import { Folders } from './folders.ts';
import { FreeSpace, measureSpace, type Reservation, type Space } from './free-space.ts';
import { createPooledFile } from './pooled-file.ts';
import { QuickFile } from './quick-file.ts';
import { entryOf, type FileEntry, StoredFile } from './stored-file.ts';
import type { TemporaryFile } from './temporary-file.ts';
import { UnfinishedFile } from './unfinished-file.ts';

const UNFINISHED = '.unfinished';
/** A file announced as no larger is mostly written at once, and flushed by that call. */
const SMALL_BYTES = 128 * 1024;
const ENTRIES_AT_ONCE = 256;
/** What `link` answers where the file system has no hard links, or not for this file. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EMLINK', 'ENOSYS']);

export interface LocalDiskOptions {
  root: string;
  /** Free space that has to be left. */
  minFreeBytes: number;
  /** Names for unfinished files; must not repeat. */
  newId: () => string;
  /** Makes small files quicker than Node's pool, which makes all files without it. */
  background?: Background;
  measure?: (folder: string) => Promise<Space>;
  hardLink?: (from: string, to: string) => Promise<void>;
  /** Milliseconds from any beginning: how old a measurement of the free space is. */
  clock?: () => number;
}

/**
 * Files by key below one folder. A key belongs to one upload, so writing it again means replacing the whole file in one
 * step: readers have the old bytes or the new ones, the last commit wins, and nothing is ever changed in place.
 */
export class LocalDisk implements Disk {
  readonly #root: string;
  readonly #unfinished: string;
  readonly #newId: () => string;
  readonly #folders: Folders;
  readonly #quick: FileCalls | null;
  readonly #free: FreeSpace;
  readonly #measure: () => Promise<Space>;
  readonly #hardLink: (from: string, to: string) => Promise<void>;
  /** Names that this process is writing: never leftovers, however slow the upload is. */
  readonly #inProgress = new Set<string>();

  constructor({ root, minFreeBytes, newId, background, ...options }: LocalDiskOptions) {
    const { measure = measureSpace, hardLink = link, clock = () => performance.now() } = options;
    this.#root = resolve(root);
    this.#unfinished = join(this.#root, UNFINISHED);
    this.#newId = newId;
    this.#folders = new Folders(this.#root);
    this.#quick = background ? new FileCalls(background) : null;
    this.#hardLink = hardLink;
    this.#measure = async () => {
      await this.#folders.make(this.#unfinished);
      return measure(this.#root);
    };
    this.#free = new FreeSpace({ minFreeBytes, measure: this.#measure, clock });
  }

  async create(key: string, expectedSize: number | null): Promise<UnfinishedFile> {
    const target = pathOfKey(this.#root, key);
    const small = expectedSize !== null && expectedSize <= SMALL_BYTES;
    return this.#begin(key, target, small, await this.#free.reserve(expectedSize));
  }

  /** For a note of some hundred bytes beside a file that has been let in already: not subject to the watermark. */
  createNote(key: string): Promise<UnfinishedFile> {
    return this.#begin(key, pathOfKey(this.#root, key), true, null);
  }

  async stat(key: string): Promise<FileEntry | null> {
    const found = await absentIsNull(stat(pathOfKey(this.#root, key), { bigint: true }));
    return found?.isFile() ? entryOf(key, found) : null;
  }

  async open(key: string): Promise<StoredFile | null> {
    const handle = await absentIsNull(open(pathOfKey(this.#root, key), constants.O_RDONLY));
    if (!handle) return null;
    try {
      const found = await handle.stat({ bigint: true });
      if (found.isFile()) return new StoredFile(entryOf(key, found), handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return null;
  }

  async read(key: string, range?: ByteRange): Promise<Readable | null> {
    if (range && !(range.start >= 0 && range.end >= range.start)) throw new RangeError(`not a range: ${range.start}-${range.end}`);
    return (await this.open(key))?.stream(range) ?? null;
  }

  async remove(key: string): Promise<boolean> {
    const path = pathOfKey(this.#root, key);
    const gone = await absentIsNull(unlink(path).then(() => true));
    if (gone) await absentIsNull(this.#folders.sync(dirname(path)));
    return gone ?? false;
  }

  async *keys(prefix: string): AsyncIterable<string> {
    yield* this.#walk(folderOfPrefix(prefix), prefix);
  }

  /** The same with what is known of each file. */
  async *list(prefix: string): AsyncIterable<FileEntry> {
    for await (const key of this.keys(prefix)) {
      const found = await this.stat(key);
      if (found) yield found;
    }
  }

  /** Names of the folders directly below `folder` (a key). */
  async *listFolders(folder: string): AsyncIterable<string> {
    for await (const entry of entriesOf(pathOfKey(this.#root, folder))) if (entry.isDirectory() && isSegment(entry.name)) yield entry.name;
  }

  /** Takes a folder out of sight in one step, with all that is in it, and then removes it. False when there is none. */
  async removeFolder(folder: string): Promise<boolean> {
    const path = pathOfKey(this.#root, folder);
    const temporary = join(this.#unfinished, this.#newId());
    await this.#folders.make(this.#unfinished);
    const gone = await absentIsNull(rename(path, temporary).then(() => true));
    this.#folders.forget(path);
    if (!gone) return false;
    await this.#folders.sync(dirname(path));
    await rm(temporary, { recursive: true, force: true });
    return true;
  }

  /** Removes a folder that nothing lies in; whoever is about to put something there makes it again. False when it is in use. */
  async removeEmptyFolder(folder: string): Promise<boolean> {
    const path = pathOfKey(this.#root, folder);
    try {
      await rmdir(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTEMPTY') return false;
      throw error;
    }
    this.#folders.forget(path);
    return true;
  }

  /**
   * Gives the file `from` the second name `to`, if it still has `etag`; no byte is copied. The first to take the name
   * keeps it. The file is checked under a name that nobody else knows, so `to` never is anything but that very file.
   */
  async link(from: string, to: string, etag: string): Promise<'linked' | 'exists' | 'changed' | 'unsupported'> {
    const target = pathOfKey(this.#root, to);
    const name = this.#newId();
    const temporary = join(this.#unfinished, name);
    await this.#folders.make(this.#unfinished);
    await this.#folders.make(dirname(target));
    this.#inProgress.add(name);
    try {
      await this.#hardLink(pathOfKey(this.#root, from), temporary);
      if (entryOf(to, await stat(temporary, { bigint: true })).etag !== etag) return 'changed';
      await this.#hardLink(temporary, target);
      await this.#folders.sync(dirname(target));
      return 'linked';
    } catch (error) {
      const code = codeOf(error) ?? '';
      if (code === 'EEXIST') return 'exists';
      if (code === 'ENOENT') return 'changed';
      if (NO_LINKS.has(code)) return 'unsupported';
      throw error;
    } finally {
      await absentIsNull(unlink(temporary));
      this.#inProgress.delete(name);
    }
  }

  async sweepUnfinished(before: number, remove: boolean): Promise<number> {
    let count = 0;
    for await (const { name } of entriesOf(this.#unfinished)) {
      if (this.#inProgress.has(name)) continue;
      const path = join(this.#unfinished, name);
      const found = await absentIsNull(lstat(path));
      if (!found || found.mtimeMs >= before) continue;
      count += 1;
      if (remove) await rm(path, { recursive: true, force: true });
    }
    return count;
  }

  space(): Promise<Space> {
    return this.#measure();
  }

  async #begin(key: string, target: string, small: boolean, reservation: Reservation | null): Promise<UnfinishedFile> {
    const name = this.#newId();
    this.#inProgress.add(name);
    const onEnd = (): void => void this.#inProgress.delete(name);
    try {
      const temporary = await this.#temporary(`${this.#unfinished}/${name}`, small);
      return new UnfinishedFile({ key, temporary, target, reservation, folders: this.#folders, onEnd });
    } catch (error) {
      onEnd();
      reservation?.release();
      throw error;
    }
  }

  async #temporary(path: string, small: boolean): Promise<TemporaryFile> {
    const inFolder = <T>(make: () => Promise<T>): Promise<T> => this.#folders.within(this.#unfinished, make);
    if (small && this.#quick?.take()) return new QuickFile({ path, calls: this.#quick, inFolder });
    return inFolder(() => createPooledFile(path, small));
  }

  async *#walk(folder: string, prefix: string): AsyncIterable<string> {
    for await (const entry of entriesOf(join(this.#root, folder))) {
      const key = folder + entry.name;
      if (!isSegment(entry.name)) continue;
      if (entry.isDirectory() && (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))) yield* this.#walk(`${key}/`, prefix);
      if (entry.isFile() && key.startsWith(prefix)) yield key;
    }
  }
}

/** What a folder holds; nothing when it is not there. */
async function* entriesOf(path: string): AsyncIterable<Dirent> {
  const folder = await absentIsNull(opendir(path, { bufferSize: ENTRIES_AT_ONCE }));
  if (folder) yield* folder;
}

/** The outcome, or null when there is no such file or folder. */
async function absentIsNull<T>(outcome: Promise<T>): Promise<T | null> {
  try {
    return await outcome;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}
