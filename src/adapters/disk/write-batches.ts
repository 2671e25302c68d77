import type { DiskFile } from '../../ports/disk.ts';

const BATCH_BYTES = 1024 * 1024;
/** Tiny chunks cost far more memory than their bytes. */
const BATCH_CHUNKS = 512;

/**
 * Writes chunks as they come, many with one system call, and takes in the next batch while one is on its way to the
 * disk: two batches are held in memory, whatever the size of the file. `inspect` sees each chunk first and may throw.
 */
export async function writeBatches(
  file: Pick<DiskFile, 'write'>,
  chunks: AsyncIterable<Uint8Array>,
  inspect: (chunk: Uint8Array) => void,
): Promise<void> {
  let batch: Uint8Array[] = [];
  let bytes = 0;
  let writing: Promise<void> = Promise.resolve();
  try {
    for await (const chunk of chunks) {
      inspect(chunk);
      batch.push(chunk);
      bytes += chunk.byteLength;
      if (bytes < BATCH_BYTES && batch.length < BATCH_CHUNKS) continue;
      await writing;
      writing = file.write(batch);
      // Awaited with the next batch; until then its failure must not count as unhandled.
      writing.catch(() => undefined);
      batch = [];
      bytes = 0;
    }
    await writing;
    if (bytes > 0) await file.write(batch);
  } finally {
    await writing.catch(() => undefined);
  }
}
