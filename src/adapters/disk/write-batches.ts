import { Batch, crowded, fullBatchBytes, joinBatches, leaveBatches } from '../../batch.ts';
import { freeChunk } from '../../chunk-memory.ts';
import type { DiskFile } from '../../ports/disk.ts';

/**
 * Writes chunks as they come, many with one system call, and takes in the next batch while one is on its way to the
 * disk, unless there are many other files: two batches are held in memory at most, whatever the size of the file.
 * `inspect` sees each chunk first and may throw; nobody has it afterwards, for its memory is given back.
 */
export async function writeBatches(
  file: Pick<DiskFile, 'write'>,
  chunks: AsyncIterable<Uint8Array>,
  inspect: (chunk: Uint8Array) => void,
): Promise<void> {
  let gathered = new Batch();
  let free = new Batch();
  let writing: Promise<void> = Promise.resolve();
  /** Begins to write what was gathered, once the batch before has been written. */
  const flush = async (): Promise<void> => {
    await writing;
    const batch = gathered;
    gathered = free;
    free = batch;
    writing = file.write(batch.chunks()).finally(() => batch.release());
    // Awaited with the next batch; until then its failure must not count as unhandled.
    writing.catch(() => undefined);
    if (crowded()) await writing;
  };
  joinBatches();
  try {
    for await (const chunk of chunks) {
      inspect(chunk);
      gathered.add(chunk);
      freeChunk(chunk);
      if (gathered.size >= fullBatchBytes()) await flush();
    }
    if (gathered.size > 0) await flush();
    await writing;
  } finally {
    await writing.catch(() => undefined);
    gathered.release();
    leaveBatches();
  }
}
