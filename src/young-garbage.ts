/** Bytes after which the chunks that have been read are collected. */
const COLLECT_BYTES = 4 * 1024 * 1024;

let received = 0;

/**
 * Told of bytes that arrived in buffers of their own. V8 does not see how much memory such buffers hold: its young
 * generation, where they die, fills so slowly that full collections have to free them, which takes more CPU time than
 * receiving them. A minor collection every few mebibytes costs next to nothing. Does nothing without `--expose-gc`.
 */
export function collectYoungGarbage(bytes: number): void {
  received += bytes;
  if (received < COLLECT_BYTES) return;
  received = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
