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
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  let msecs = 0;
  let seq = 0;
  return () => {
    if (used === POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const random = pool.subarray(used, used + BYTES);
    used += BYTES;
    const now = clock();
    if (now > msecs) {
      msecs = now;
      // The upper half is left for counting.
      seq = new DataView(random.buffer, random.byteOffset).getUint32(6) >>> 1;
    } else {
      seq += 1;
    }
    return v7({ random, msecs, seq });
  };
}
