import { createHash, type Hash } from 'node:crypto';
import { addAbortSignal } from 'node:stream';
import { planParts, sizeOfPart } from '../../../core/parts.ts';
import { WindlassError } from '../../../errors.ts';
import type { ByteRange } from '../../../ports/disk.ts';
import type { ObjectSource } from '../../../ports/object-store.ts';

/** A piece of a file that is sent by one request. */
export interface Part extends ByteRange {
  partNumber: number;
}

export function cut(size: number, preferredBytes: number): Part[] {
  const plan = planParts(size, preferredBytes);
  return Array.from({ length: plan.partCount }, (_, index) => {
    const start = index * plan.partSize;
    return { partNumber: index + 1, start, end: start + sizeOfPart(index + 1, plan, size) - 1 };
  });
}

/** Digests of the parts (lower-case hex, in their order), by reading once. Throws `digest_mismatch` when the whole has not the declared one. */
export async function digestsOf(source: ObjectSource, parts: readonly Part[], signal: AbortSignal | undefined): Promise<string[]> {
  const whole = createHash('sha256');
  const inParts = new PartHashes(parts);
  let size = 0;
  const stream = await source.open();
  for await (const chunk of signal ? addAbortSignal(signal, stream) : stream) {
    whole.update(chunk);
    inParts.update(chunk);
    size += chunk.length;
  }
  if (size !== source.size || whole.digest('hex') !== source.sha256)
    throw new WindlassError('digest_mismatch', 'The bytes do not have the declared SHA-256.', { expected: source.sha256 });
  return inParts.digests;
}

class PartHashes {
  readonly digests: string[] = [];
  readonly #parts: readonly Part[];
  #hash: Hash = createHash('sha256');
  #at = 0;

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /** Bytes beyond the last part are passed over: the digest of the whole tells that they are too many. */
  update(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0; ) {
      const part = this.#parts[this.digests.length];
      if (!part) return;
      const piece = rest.subarray(0, part.end + 1 - this.#at);
      this.#hash.update(piece);
      this.#at += piece.length;
      rest = rest.subarray(piece.length);
      if (this.#at <= part.end) continue;
      this.digests.push(this.#hash.digest('hex'));
      this.#hash = createHash('sha256');
    }
  }
}
