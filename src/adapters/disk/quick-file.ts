import type { FileCalls } from './file-calls.ts';
import { ignoreMissing } from './file-writing.ts';
import type { FileEntry } from './stored-file.ts';
import type { TemporaryFile } from './temporary-file.ts';

export interface QuickFileParts {
  path: string;
  calls: FileCalls;
  /** Runs what makes the file, and again if the folder was gone. */
  inFolder: (make: () => Promise<void>) => Promise<void>;
}

/**
 * A small file whose calls are made by the background thread, in their order. It is made by its first append, and is
 * never open between two: there is nothing to flush or close.
 */
export class QuickFile implements TemporaryFile {
  readonly #parts: QuickFileParts;
  #entry: Omit<FileEntry, 'key'> | null = null;
  #appending: Promise<void> | null = null;

  constructor(parts: QuickFileParts) {
    this.#parts = parts;
  }

  append(chunks: readonly Uint8Array[]): Promise<void> {
    const { path, calls, inFolder } = this.#parts;
    const isNew = this.#entry === null;
    const append = async (): Promise<void> => {
      this.#entry = await calls.append(path, isNew, chunks);
    };
    this.#appending = isNew ? inFolder(append) : append();
    return this.#appending;
  }

  async flush(): Promise<void> {
    if (!this.#entry) await this.append([]);
  }

  async entry(key: string): Promise<FileEntry> {
    if (!this.#entry) throw new Error(`${key} has not been written`);
    return { key, ...this.#entry };
  }

  rename(target: string): Promise<void> {
    return this.#parts.calls.rename(this.#parts.path, target);
  }

  async close(): Promise<void> {}

  async remove(): Promise<void> {
    await this.#appending?.catch(() => undefined);
    await this.#parts.calls.remove(this.#parts.path).catch(ignoreMissing);
  }
}
