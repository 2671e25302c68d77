import { createHash, timingSafeEqual } from 'node:crypto';
import type { Readable } from 'node:stream';
import { freeChunk } from '../../chunk-memory.ts';
import { WindlassError } from '../../errors.ts';
import type { Disk } from '../../ports/disk.ts';
import { writeBatches } from '../disk/write-batches.ts';
import { SEAL_BYTES, sealOf } from './signature.ts';

export interface Delivery {
  key: string;
  /** Bytes; null when the sender does not know. */
  expectedSize: number | null;
  /** Begins to read the body; nothing is asked for before. */
  open: () => Readable;
  secret: string;
  /** The header that the request was signed with. */
  authorization: string;
}

/**
 * Puts a file that another server sends on this disk: all bytes of the body but the last, which seal the SHA-256 of the
 * others with the secret that all servers share. Only whoever has the secret can write here, whatever he listened to, and
 * a body that does not end with its seal leaves nothing. Throws `spool_full`, `digest_mismatch`, and what the body ends with.
 */
export async function receiveFile(disk: Disk, { key, expectedSize, open, secret, authorization }: Delivery): Promise<void> {
  const file = await disk.create(key, expectedSize);
  try {
    const hash = createHash('sha256');
    const body = new SealedBody(open());
    await writeBatches(file, body.content(), (chunk) => void hash.update(chunk));
    const expected = sealOf(secret, authorization, hash.digest('hex'));
    if (body.seal.length !== expected.length || !timingSafeEqual(body.seal, expected))
      throw new WindlassError('digest_mismatch', 'The body does not end with the seal of its bytes.');
    await file.commit();
  } catch (error) {
    await file.discard();
    throw error;
  }
}

class SealedBody {
  /** The last bytes of the body, once its content has been read. */
  seal: Buffer = Buffer.alloc(0);
  readonly #body: Readable;

  constructor(body: Readable) {
    this.#body = body;
  }

  async *content(): AsyncGenerator<Buffer> {
    for await (const chunk of this.#body as AsyncIterable<Buffer>) {
      if (chunk.length < SEAL_BYTES) {
        const joined = Buffer.concat([this.seal, chunk]);
        this.seal = joined.subarray(-SEAL_BYTES);
        if (joined.length > SEAL_BYTES) yield joined.subarray(0, -SEAL_BYTES);
        continue;
      }
      if (this.seal.length > 0) yield this.seal;
      if (chunk.length > SEAL_BYTES) yield chunk.subarray(0, -SEAL_BYTES);
      this.seal = Buffer.from(chunk.subarray(-SEAL_BYTES));
      freeChunk(chunk);
    }
  }
}
