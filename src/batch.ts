import { collectYoungGarbage } from './chunk-memory.ts';

/** Small enough that a slow upload holds little, large enough that a chunk of a socket fits into a few. */
export const BLOCK_BYTES = 32 * 1024;
/** Blocks that are used again and again; what is needed beyond is left to the garbage collector. */
const SHARED_BLOCKS = 512;

/** Written at once where few files are being written: few system calls, and at most twice as much memory for each. */
const MAX_BATCH_BYTES = 1024 * 1024;
const MIN_BATCH_BYTES = 16 * 1024;
/** What all files of this process may gather together, in about; slow ones fill their batches, too. */
const ALL_BATCHES_BYTES = 8 * 1024 * 1024;
/** With more of them, a file is not received further while it is being written: what they gathered would leave every cache. */
const CROWD = 32;

let writers = 0;

/** Counts a file whose bytes are gathered from now on. To be followed by one `leaveBatches`. */
export function joinBatches(): void {
  writers += 1;
}

export function leaveBatches(): void {
  writers -= 1;
}

/** Whether a file may not gather a second batch while its first is being written. */
export const crowded = (): boolean => writers > CROWD;

/** Bytes after which a batch is to be written: each file has one that is gathered, and one that is being written. */
export function fullBatchBytes(): number {
  // The chunk that fills a batch goes beyond it, on average by half of what a socket delivers at once: a block.
  return Math.max(MIN_BATCH_BYTES, Math.min(MAX_BATCH_BYTES, ALL_BATCHES_BYTES / writers - BLOCK_BYTES));
}

/** Shared, so that another thread can write what is in it without a copy. Its pages take memory when they are first used. */
const shared = new SharedArrayBuffer(SHARED_BLOCKS * BLOCK_BYTES);
/** The one used last is used next. */
const spare: Buffer[] = Array.from({ length: SHARED_BLOCKS }, (_, at) => Buffer.from(shared, at * BLOCK_BYTES, BLOCK_BYTES)).reverse();

/**
 * Bytes that wait to be written together, copied into blocks that are used again and again. The chunks that a socket
 * delivers die young by that: held for the length of a write they would outlive V8's young generation, and only a full
 * collection could free them.
 */
export class Batch {
  #blocks: Buffer[] = [];
  /** Of the last block. */
  #filled = BLOCK_BYTES;
  #size = 0;

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  add(chunk: Uint8Array): void {
    this.#size += chunk.byteLength;
    for (let taken = 0; taken < chunk.byteLength; ) {
      if (this.#filled === BLOCK_BYTES) this.#grow();
      const copied = copyBytes(chunk, taken, this.#blocks.at(-1) as Buffer, this.#filled);
      this.#filled += copied;
      taken += copied;
    }
  }

  /** A copy of the first `bytes` bytes, or of all where there are fewer; no more than a block. */
  head(bytes: number): Buffer {
    return Buffer.from((this.#blocks[0] ?? Buffer.alloc(0)).subarray(0, Math.min(bytes, this.size)));
  }

  /** The bytes, valid until `release`. */
  chunks(): Uint8Array[] {
    const last = this.#blocks.length - 1;
    return this.#blocks.map((block, at) => (at === last ? block.subarray(0, this.#filled) : block));
  }

  /** Gives the blocks back: nobody may use the chunks any more. */
  release(): void {
    for (const block of this.#blocks) {
      if (block.buffer === shared) spare.push(block);
      // Not freed by hand: a connection that breaks off may still be reading it.
      else collectYoungGarbage(BLOCK_BYTES);
    }
    this.#blocks = [];
    this.#filled = BLOCK_BYTES;
    this.#size = 0;
  }

  #grow(): void {
    this.#blocks.push(spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES));
    this.#filled = 0;
  }
}

const { copy } = Buffer.prototype;

/**
 * Copies what fits and returns how much that was. The first byte goes by itself: all of an array would be copied by V8,
 * which goes byte by byte into shared memory wherever source and target are not aligned alike (five times as long); a
 * part of one is copied by Node, with memmove.
 */
function copyBytes(from: Uint8Array, fromAt: number, to: Buffer, toAt: number): number {
  to[toAt] = from[fromAt] as number;
  return 1 + copy.call(from, to, toAt + 1, fromAt + 1);
}
