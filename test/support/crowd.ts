import { joinBatches, leaveBatches } from '../../src/batch.ts';

/** As if so many other files were being received, until the function that it returns is called. */
export function crowdOf(writers: number): () => void {
  for (let joined = 0; joined < writers; joined += 1) joinBatches();
  return () => {
    for (let joined = 0; joined < writers; joined += 1) leaveBatches();
  };
}
