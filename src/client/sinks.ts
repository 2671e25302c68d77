import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Sink } from './download.ts';

/** A file that grows beside its target and takes its place once it is whole. What an earlier run wrote counts. */
export class PartialFile implements Sink {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #target: string;
  readonly #hash: Hash;
  #offset: number;

  private constructor(handle: FileHandle, path: string, target: string, { hash, size }: { hash: Hash; size: number }) {
    this.#handle = handle;
    this.#path = path;
    this.#target = target;
    this.#hash = hash;
    this.#offset = size;
  }

  /** The upload's id is part of the name, so that bytes of two files never meet. */
  static async open(file: string, { id, size }: { id: string; size: number }): Promise<PartialFile> {
    const target = await realpath(file).catch(() => file);
    const path = join(dirname(target), `.windlass-${id}.part`);
    const handle = await open(path, 'a', 0o666);
    try {
      const there = (await handle.stat()).size;
      if (there > size) await handle.truncate(0);
      return new PartialFile(handle, path, target, await hashOf(path));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get offset(): number {
    return this.#offset;
  }

  async write(chunk: Buffer): Promise<void> {
    await this.#handle.writeFile(chunk);
    this.#hash.update(chunk);
    this.#offset += chunk.length;
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Gives the file its name. */
  async commit(): Promise<void> {
    await this.#handle.sync();
    await rename(this.#path, this.#target);
  }

  async discard(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function hashOf(path: string): Promise<{ hash: Hash; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { hash, size };
}

/** Stdout, a pipe, a device: what went out cannot be taken back. */
export class StreamSink implements Sink {
  readonly #stream: Writable;
  readonly #owned: boolean;
  readonly #hash = createHash('sha256');
  #offset = 0;

  private constructor(stream: Writable, owned: boolean) {
    this.#stream = stream;
    this.#owned = owned;
    // Failures are told by the write that meets them.
    stream.on('error', () => undefined);
  }

  /** The file at `target`, or `stdout` when that is null. */
  static open(target: string | null, stdout: Writable): StreamSink {
    return target === null ? new StreamSink(stdout, false) : new StreamSink(createWriteStream(target), true);
  }

  get offset(): number {
    return this.#offset;
  }

  write(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    this.#offset += chunk.length;
    return new Promise((resolve, reject) => this.#stream.write(chunk, (error) => (error ? reject(error) : resolve())));
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  async close(): Promise<void> {
    if (!this.#owned) return;
    this.#stream.end();
    await finished(this.#stream);
  }
}
