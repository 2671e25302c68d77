import { createCipheriv, createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

const BLOCK = 16;
const CHUNK_BYTES = 256 * 1024;

/**
 * A file of random bytes that exists nowhere: the same seed gives the same bytes, from any offset, in chunks. (AES in
 * counter mode over zeros, so that tests of gigabytes spend their time in the server.)
 */
export class RandomFile {
  readonly size: number;
  readonly #key: Buffer;
  #sha256: Promise<string> | undefined;

  constructor(size: number, seed: string) {
    this.size = size;
    this.#key = createHash('sha256').update(seed).digest().subarray(0, BLOCK);
  }

  /** Bytes from `start` up to, but not including, `end`. */
  *chunks(start = 0, end = this.size): Generator<Buffer> {
    const counter = Buffer.alloc(BLOCK);
    counter.writeBigUInt64BE(BigInt(Math.floor(start / BLOCK)), 8);
    const cipher = createCipheriv('aes-128-ctr', this.#key, counter);
    cipher.update(Buffer.alloc(start % BLOCK));
    for (let at = start; at < end; at += CHUNK_BYTES) yield cipher.update(Buffer.alloc(Math.min(CHUNK_BYTES, end - at)));
  }

  stream(start = 0, end = this.size): Readable {
    return Readable.from(this.chunks(start, end));
  }

  /** Only for small files. */
  bytes(start = 0, end = this.size): Promise<Buffer> {
    return buffer(this.stream(start, end));
  }

  /** Lower-case hex; computed once, by streaming. */
  sha256(): Promise<string> {
    this.#sha256 ??= this.#digest();
    return this.#sha256;
  }

  async #digest(): Promise<string> {
    const hash = createHash('sha256');
    for (const chunk of this.chunks()) hash.update(chunk);
    return hash.digest('hex');
  }
}

/** Lower-case hex. */
export const sha256Of = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** The SHA-256 (lower-case hex) and length of whatever a stream gives, which is never held whole. */
export async function digestOf(stream: AsyncIterable<Uint8Array>): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { sha256: hash.digest('hex'), size };
}
