import type { DiskFile } from '../../ports/disk.ts';

/** A file that keeps nothing: for bytes that have to be read to know what they are, but are there already. */
export class DiscardingFile implements DiskFile {
  readonly key = '';
  #size = 0;

  get size(): number {
    return this.#size;
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) this.#size += chunk.byteLength;
  }

  async commit(): Promise<void> {
    throw new Error('this file keeps nothing');
  }

  async discard(): Promise<void> {}
}
