import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BLOCK_BYTES as BLOCK } from '../../src/batch.ts';
import { ingest } from '../../src/ingest.ts';
import { HEAD_BYTES } from '../../src/sniff.ts';
import { crowdOf } from '../support/crowd.ts';

const MIB = 1024 * 1024;
const code = (name: string) => expect.objectContaining({ code: name });

/** Keeps what is written; each write waits until it is let go, if `held`. */
class MemoryFile {
  readonly written: Buffer[] = [];
  largest = 0;
  pieces = 0;
  writes = 0;
  open = 0;
  readonly #gate: Promise<void>;

  constructor(gate: Promise<void> = Promise.resolve()) {
    this.#gate = gate;
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    this.open += 1;
    this.writes += 1;
    this.pieces += chunks.length;
    const bytes = Buffer.concat(chunks);
    this.largest = Math.max(this.largest, bytes.length);
    await this.#gate;
    this.written.push(bytes);
    this.open -= 1;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.written);
  }
}

const anySize = { maxBytes: Number.MAX_SAFE_INTEGER, expectedSize: null };
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('whatever the chunks, the file has the bytes and their digest, and their beginning is looked at once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 40 }), async (chunks) => {
      const bytes = Buffer.concat(chunks);
      const file = new MemoryFile();
      const heads: Uint8Array[] = [];
      const inspect = async (head: Uint8Array): Promise<void> => void heads.push(head);
      const done = await ingest(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), file, { ...anySize, inspect });
      expect(file.bytes.equals(bytes)).toBe(true);
      expect(done).toEqual({ size: bytes.length, sha256: sha256(bytes) });
      expect(heads).toEqual([bytes.subarray(0, HEAD_BYTES)]);
    }),
    { numRuns: 50 },
  );
});

test.each([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, MIB, 2 * MIB + 1])('the digest of %i bytes', async (size) => {
  for (const chunkSize of [size || 1, 1000, BLOCK]) {
    const bytes = randomBytes(size);
    const chunks = Array.from({ length: Math.ceil(size / chunkSize) }, (_, at) =>
      Buffer.from(bytes.subarray(at * chunkSize, (at + 1) * chunkSize)),
    );
    const file = new MemoryFile();
    expect(await ingest(Readable.from(chunks), file, anySize)).toEqual({ size, sha256: sha256(bytes) });
    expect(file.bytes.equals(bytes)).toBe(true);
  }
});

test('what arrives slowly is written every few seconds, so that the file is seen to be in use', async () => {
  let now = 0;
  const file = new MemoryFile();
  const chunk = Buffer.alloc(300, 'x');
  async function* slow(): AsyncGenerator<Buffer> {
    for (let second = 0; second < 3600; second += 1) {
      now = second * 1000;
      yield Buffer.from(chunk);
    }
  }
  const times: number[] = [];
  const write = file.write.bind(file);
  file.write = async (chunks) => {
    times.push(now);
    await write(chunks);
  };
  const done = await ingest(Readable.from(slow(), { objectMode: false, highWaterMark: 1 }), file, { ...anySize, clock: () => now });
  const bytes = Buffer.alloc(3600 * chunk.length, 'x');
  expect(done).toEqual({ size: bytes.length, sha256: sha256(bytes) });
  expect(file.bytes.equals(bytes)).toBe(true);
  // The first waits for as many bytes as a type is recognised by.
  expect(Math.max(...times.map((time, at) => time - (times[at - 1] ?? 0)))).toBeLessThan(20_000);
});

test('many chunks are written at once, a mebibyte at most, and tiny ones in few pieces', async () => {
  const file = new MemoryFile();
  await ingest(Readable.from(Array.from({ length: 64 }, () => randomBytes(64 * 1024))), file, anySize);
  expect(file.writes).toBe(4);
  expect(file.largest).toBe(MIB);
  const tiny = new MemoryFile();
  await ingest(Readable.from(Array.from({ length: 2000 }, () => Buffer.from('x'))), tiny, anySize);
  expect(tiny).toMatchObject({ writes: 1, largest: 2000, pieces: 1 });
});

test('the memory of a chunk is given back at once, but not that of a buffer which the chunk is a part of', async () => {
  const file = new MemoryFile();
  const chunks = [randomBytes(64 * 1024), randomBytes(100)];
  const bytes = Buffer.concat(chunks);
  const [large, rest] = [Buffer.from(bytes), Buffer.from(bytes)];
  const done = await ingest(Readable.from([large, rest.subarray(1)]), file, anySize);
  expect(done).toEqual({ size: 2 * bytes.length - 1, sha256: sha256(file.bytes) });
  expect(file.bytes.equals(Buffer.concat([bytes, bytes.subarray(1)]))).toBe(true);
  expect([large.buffer.byteLength, rest.buffer.byteLength]).toEqual([0, bytes.length]);
});

test('a slow disk stops the reading: two batches are in memory, not the body', async () => {
  const { promise: gate, resolve: release } = Promise.withResolvers<void>();
  const body = new PassThrough({ highWaterMark: 1024 });
  const file = new MemoryFile(gate);
  const done = ingest(body, file, anySize);
  const chunk = randomBytes(64 * 1024);
  let sent = 0;
  while (sent < 100 && body.write(Buffer.from(chunk))) {
    sent += 1;
    await new Promise(setImmediate);
  }
  await new Promise(setImmediate);
  expect(body.isPaused()).toBe(true);
  expect(sent * chunk.length).toBeLessThanOrEqual(2 * MIB + chunk.length);
  body.end();
  release();
  const { size } = await done;
  expect(size).toBe(file.bytes.length);
});

describe('in a crowd', () => {
  let leave: () => void;

  beforeEach(() => {
    leave = crowdOf(40);
  });

  afterEach(() => leave());

  test('nothing is received while the first batch is being written, and everything is in the end', async () => {
    const { promise: gate, resolve: release } = Promise.withResolvers<void>();
    const body = new PassThrough({ highWaterMark: 1024 });
    const file = new MemoryFile(gate);
    const bytes = randomBytes(MIB);
    let told = 0;
    const onBytes = (count: number): void => {
      told += count;
    };
    const done = ingest(body, file, { ...anySize, onBytes });
    body.write(Buffer.from(bytes.subarray(0, MIB / 2)));
    await new Promise(setImmediate);
    body.end(Buffer.from(bytes.subarray(MIB / 2)));
    await new Promise(setImmediate);
    expect([told, file.writes, body.isPaused()]).toEqual([MIB / 2, 1, true]);
    release();
    expect(await done).toEqual({ size: MIB, sha256: sha256(bytes) });
    expect(file.bytes.equals(bytes)).toBe(true);
  });

  test('a file of which little is missing is written at once, when all of it is there', async () => {
    const bytes = randomBytes(MIB);
    const parts = [MIB - BLOCK, BLOCK - 1, 1];
    const chunks = parts.map((size, at) => {
      const from = parts.slice(0, at).reduce((sum, part) => sum + part, 0);
      return Buffer.from(bytes.subarray(from, from + size));
    });
    const file = new MemoryFile();
    expect(await ingest(Readable.from(chunks), file, { ...anySize, expectedSize: MIB })).toEqual({ size: MIB, sha256: sha256(bytes) });
    expect(file.writes).toBe(1);
    expect(file.bytes.equals(bytes)).toBe(true);
  });
});

describe('a body that is refused', () => {
  test('is refused with the first byte too many, however much would follow', async () => {
    const long = Readable.from(Array.from({ length: 1000 }, () => Buffer.alloc(1000)));
    await expect(ingest(long, new MemoryFile(), { ...anySize, maxBytes: 4999 })).rejects.toEqual(code('too_large'));
    expect(long.destroyed).toBe(true);
  });

  test('of exactly the limit is not', async () => {
    await expect(ingest(Readable.from([Buffer.alloc(10)]), new MemoryFile(), { maxBytes: 10, expectedSize: 10 })).resolves.toMatchObject({
      size: 10,
    });
  });

  test.each([9, 11])('when it was declared to have 10 bytes and has %i', async (size) => {
    const outcome = ingest(Readable.from([Buffer.alloc(size)]), new MemoryFile(), { ...anySize, expectedSize: 10 });
    await expect(outcome).rejects.toEqual(code('invalid_request'));
  });

  test('as soon as its beginning is known', async () => {
    const body = new PassThrough();
    const heads: number[] = [];
    const inspect = async (head: Uint8Array): Promise<void> => {
      heads.push(head.length);
      throw Object.assign(new Error('no'), { code: 'content_mismatch' });
    };
    const outcome = ingest(body, new MemoryFile(), { ...anySize, inspect });
    body.write(Buffer.alloc(5000));
    await expect(outcome).rejects.toEqual(code('content_mismatch'));
    expect(heads).toEqual([HEAD_BYTES]);
    expect(body.destroyed).toBe(true);
  });

  test('shorter than a beginning is looked at too', async () => {
    const inspect = async (head: Uint8Array): Promise<void> => {
      throw Object.assign(new Error('no'), { code: `${head.length} bytes` });
    };
    await expect(ingest(Readable.from([Buffer.alloc(3)]), new MemoryFile(), { ...anySize, inspect })).rejects.toEqual(code('3 bytes'));
  });

  test('rejects only when nothing is being written any more', async () => {
    const { promise: gate, resolve: release } = Promise.withResolvers<void>();
    const file = new MemoryFile(gate);
    const body = new PassThrough();
    const outcome = ingest(body, file, { ...anySize, maxBytes: MIB });
    const openAtEnd = outcome.catch(() => file.open);
    body.write(Buffer.alloc(MIB));
    body.write(Buffer.alloc(1));
    await once(body, 'close');
    expect(file.open).toBe(1);
    release();
    expect(await openAtEnd).toBe(0);
  });

  test('by the disk', async () => {
    const body = new PassThrough();
    const write = async (): Promise<void> => {
      throw Object.assign(new Error('full'), { code: 'spool_full' });
    };
    const outcome = ingest(body, { write }, anySize);
    body.end('x');
    await expect(outcome).rejects.toEqual(code('spool_full'));
  });

  test('by its client, who went away', async () => {
    const body = new PassThrough();
    const outcome = ingest(body, new MemoryFile(), anySize);
    body.write('x');
    body.destroy();
    await expect(outcome).rejects.toEqual(code('aborted'));
  });
});
