import { createHash, type Hash } from 'node:crypto';
import type { ByteSource } from '../../../byte-source.ts';
import { WindlassError } from '../../../errors.ts';
import { ingest } from '../../../ingest.ts';
import type { ObjectInfo } from '../../../ports/object-store.ts';
import type { UnfinishedFile } from '../../disk/unfinished-file.ts';
import { writeBatches } from '../../disk/write-batches.ts';

/** What the bytes of an object were announced to be. */
export interface Declared {
  size: number;
  contentType: string | null;
  /** Lower-case hex, or null when nobody said. */
  sha256: string | null;
}

type PutInPlace = (file: UnfinishedFile, contentType: string | null, sha256: string) => Promise<ObjectInfo>;

/** Bytes on their way into the store: counted and hashed as they come, and not there until `commit` has returned. */
export class IncomingObject {
  readonly #file: UnfinishedFile;
  readonly #declared: Declared;
  readonly #place: PutInPlace;
  #size = 0;
  /** Of bytes that were appended. */
  #hash: Hash | null = null;
  /** Of bytes that were received as a whole. */
  #sha256: string | null = null;

  constructor(file: UnfinishedFile, declared: Declared, place: PutInPlace) {
    this.#file = file;
    this.#declared = declared;
    this.#place = place;
  }

  /** Takes all bytes. Throws `too_large` as soon as there are more than declared, `link_invalid` when there are fewer, `spool_full`. */
  async receive(body: ByteSource): Promise<void> {
    const { size: expected } = this.#declared;
    const { size, sha256 } = await ingest(body, this.#file, { maxBytes: expected, expectedSize: null });
    if (size < expected) {
      const detail = `There are fewer bytes than the ${expected} that were announced.`;
      throw new WindlassError('link_invalid', detail, { expected, actual: size });
    }
    this.#size = size;
    this.#sha256 = sha256;
  }

  /** Adds bytes that others may follow. Throws `too_large` and `spool_full`. */
  async append(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { size: limit } = this.#declared;
    this.#hash ??= createHash('sha256');
    const hash = this.#hash;
    await writeBatches(this.#file, chunks, (chunk) => {
      this.#size += chunk.byteLength;
      if (this.#size > limit)
        throw new WindlassError('too_large', `There are more bytes than the ${limit} that were announced.`, { limit });
      hash.update(chunk);
    });
  }

  /** Puts the object in its place. Throws `digest_mismatch` when the bytes are not the declared ones. */
  async commit(): Promise<ObjectInfo> {
    const sha256 = this.#sha256 ?? (this.#hash ?? createHash('sha256')).digest('hex');
    const { size, contentType, sha256: expected } = this.#declared;
    if (this.#size !== size || (expected !== null && expected !== sha256)) {
      throw new WindlassError('digest_mismatch', 'The bytes do not have the declared SHA-256.', { expected, actual: sha256 });
    }
    return this.#place(this.#file, contentType, sha256);
  }

  discard(): Promise<void> {
    return this.#file.discard();
  }
}
