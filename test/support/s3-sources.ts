import type { Readable } from 'node:stream';
import type { ByteRange } from '../../src/ports/disk.ts';
import type { ObjectSource } from '../../src/ports/object-store.ts';
import { RandomFile } from './random-file.ts';

export interface WatchedSource extends ObjectSource {
  /** Ranges that were asked for, in this order; undefined for the whole. */
  opened: (ByteRange | undefined)[];
  streams: Readable[];
}

/** Random bytes to put, with a record of how they were read. */
export async function randomSource(size: number, seed: string, overrides: Partial<ObjectSource> = {}): Promise<WatchedSource> {
  const file = new RandomFile(size, seed);
  const source: WatchedSource = {
    size,
    contentType: 'application/x-random',
    sha256: await file.sha256(),
    opened: [],
    streams: [],
    async open(range) {
      const stream = file.stream(range?.start, range && range.end + 1);
      source.opened.push(range);
      source.streams.push(stream);
      return stream;
    },
  };
  return Object.assign(source, overrides);
}
