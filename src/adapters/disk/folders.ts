import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../errors.ts';
import { FolderHandles } from './folder-handles.ts';

const FOLDER_MODE = 0o750;
/** Only a cache: when it is full it starts afresh, at the price of some flushes. */
const MAX_REMEMBERED = 50_000;

/** Flushes a folder's entries to the disk: without it a power cut can take back a rename that had returned. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Folders below a root, made when they are first needed, and flushed into their parents. */
export class Folders {
  readonly #root: string;
  readonly #durable = new Set<string>();
  readonly #handles = new FolderHandles();

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Makes a folder and those above it. When it returns, none of them can be lost any more: also not one that somebody
   * else made a moment ago and has not flushed yet.
   */
  async make(folder: string): Promise<void> {
    if (this.#durable.has(folder)) return;
    const first = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    const above = first && first.length < this.#root.length ? first : this.#root;
    const flushed: string[] = [];
    for (let at = folder; at.length >= above.length && !this.#durable.has(at); at = dirname(at)) {
      await syncFolder(dirname(at));
      flushed.push(at);
    }
    if (this.#durable.size > MAX_REMEMBERED) this.#durable.clear();
    for (const path of flushed) this.#durable.add(path);
  }

  /** Makes the folder, then does `work` in it; both once more when it has been removed meanwhile. */
  async within<T>(folder: string, work: () => Promise<T>): Promise<T> {
    await this.make(folder);
    return work().catch(async (error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
      this.forget(folder);
      await this.make(folder);
      return work();
    });
  }

  /** Flushes the entries of a folder that files are put into all the time. */
  sync(folder: string): Promise<void> {
    return this.#handles.sync(folder);
  }

  /** To be called when a folder is gone, so that it is made again when it is needed again. */
  forget(folder: string): void {
    this.#durable.delete(folder);
    this.#handles.forget(folder);
  }
}
