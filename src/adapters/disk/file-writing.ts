import { constants } from 'node:fs';
import { codeOf } from '../../errors.ts';

export const FILE_MODE = 0o640;

/**
 * Makes a write return when its bytes are on the disk: a small file is mostly one write, which is then its flush as well.
 * Elsewhere than on Linux the flag may be missing, or leave bytes in the cache of the drive.
 */
export const WRITE_THROUGH = process.platform === 'linux' ? constants.O_DSYNC : 0;

/** For a write that returned without having done anything. */
export const noBytesTaken = (): Error => Object.assign(new Error('the disk took no bytes'), { code: 'EIO' });

export const byteLengthOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);

/** What is left of the chunks after a write that was shorter than asked for. */
export function skip(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let gone = bytes;
  for (const chunk of chunks) {
    if (gone < chunk.byteLength) rest.push(gone > 0 ? chunk.subarray(gone) : chunk);
    gone = Math.max(0, gone - chunk.byteLength);
  }
  return rest;
}

/** For whoever only wants a file gone. */
export function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}
