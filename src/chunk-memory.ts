/** Bytes after which the chunks that have been read are collected. */
const COLLECT_BYTES = 4 * 1024 * 1024;

let received = 0;

/**
 * Gives the memory of a chunk back at once, for the next one to use while it is still in the processor's cache. Only for
 * whoever was the last to need it: its bytes are gone, for all that refer to them. Returns false, and does nothing, where
 * the chunk is part of a larger buffer.
 */
export function freeChunk({ buffer, byteLength }: Uint8Array): boolean {
  if (byteLength === 0 || byteLength !== buffer.byteLength || !('transfer' in buffer)) return false;
  buffer.transfer(0);
  return true;
}

/**
 * Told of bytes that arrived in buffers of their own and cannot be freed by hand. V8 does not see how much memory such
 * buffers hold: its young generation, where they die, fills so slowly that full collections have to free them, which
 * takes more CPU time than receiving them. A minor collection every few mebibytes costs next to nothing. Does nothing
 * without `--expose-gc`.
 */
export function collectYoungGarbage(bytes: number): void {
  received += bytes;
  if (received < COLLECT_BYTES) return;
  received = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
