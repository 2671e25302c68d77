import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Batch, crowded, fullBatchBytes } from '../../src/batch.ts';
import { crowdOf } from '../support/crowd.ts';

test('whatever is added comes out, also when the blocks were used before', () => {
  const batch = new Batch();
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 150_000 }), { maxLength: 6 }), fc.nat({ max: 255 }), (sizes, seed) => {
      const pieces = sizes.map((size, at) => Buffer.alloc(size, (seed + at) % 256));
      for (const piece of pieces) batch.add(piece);
      const whole = Buffer.concat(pieces);
      expect(batch.size).toBe(whole.length);
      expect(Buffer.concat(batch.chunks()).equals(whole)).toBe(true);
      expect(batch.head(4100).equals(whole.subarray(0, 4100))).toBe(true);
      batch.release();
      expect(batch.size).toBe(0);
      expect(batch.chunks()).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test('no two batches share a block, and a head outlives its batch', () => {
  const first = new Batch();
  first.add(Buffer.from('first'));
  const head = first.head(5);
  first.release();
  const [second, third] = [new Batch(), new Batch()];
  second.add(Buffer.from('second'));
  third.add(Buffer.from('third'));
  expect(Buffer.concat(second.chunks()).toString()).toBe('second');
  expect(Buffer.concat(third.chunks()).toString()).toBe('third');
  expect(head.toString()).toBe('first');
});

test('holds more than there are blocks to be used again, time after time', () => {
  const bytes = Buffer.alloc(20 * 1024 ** 2, 'abc');
  for (let round = 0; round < 3; round += 1) {
    const batch = new Batch();
    batch.add(bytes);
    expect(Buffer.concat(batch.chunks()).equals(bytes)).toBe(true);
    batch.release();
  }
});

test('what little there is can be written by another thread without a copy', () => {
  const batch = new Batch();
  batch.add(Buffer.from('small'));
  expect(batch.chunks()[0]?.buffer).toBeInstanceOf(SharedArrayBuffer);
  batch.release();
});

test('the more files are gathered for, the sooner a batch is full, down to half a block, and the fewer batches each has', () => {
  const among = (writers: number): [number, boolean] => {
    const leave = crowdOf(writers);
    const seen: [number, boolean] = [fullBatchBytes() / 1024, crowded()];
    leave();
    return seen;
  };
  expect([1, 7, 16, 32, 33, 64, 1000, 1].map(among)).toEqual([
    [1024, false],
    [1024, false],
    [480, false],
    [224, false],
    [expect.closeTo(216.2, 1), true],
    [96, true],
    [16, true],
    [1024, false],
  ]);
});
