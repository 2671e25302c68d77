import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const BYTES = 16;
/** Fetched at once: each fetch is a system call, and costs more than all the rest of an id. */
const POOL_BYTES = 256 * BYTES;

/**
 * Ids of uploads, messages and temporary files: UUIDv7 (RFC 9562), each greater than the one before, also within one
 * millisecond and when the clock is set back.
 */
export function idSource(clock: () => number): () => string {
  const pool = new DataView(new ArrayBuffer(POOL_BYTES));
  const pieces = Array.from({ length: POOL_BYTES / BYTES }, (_, at) => new Uint8Array(pool.buffer, at * BYTES, BYTES));
  let used = pieces.length;
  let msecs = 0;
  let seq = 0;
  return () => {
    if (used === pieces.length) {
      randomFillSync(pool);
      used = 0;
    }
    const random = pieces[used] as Uint8Array;
    const now = clock();
    if (now > msecs) {
      msecs = now;
      // The upper half is left for counting.
      seq = pool.getUint32(used * BYTES + 6) >>> 1;
    } else {
      seq += 1;
    }
    used += 1;
    return v7({ random, msecs, seq });
  };
}
