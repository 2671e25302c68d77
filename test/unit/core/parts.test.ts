import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { backoffMs } from '../../../src/core/backoff.ts';
import { sameType } from '../../../src/core/media-type.ts';
import { MAX_PARTS, planParts, sizeOfPart } from '../../../src/core/parts.ts';

const MIB = 1024 ** 2;

test('parts have the preferred size, and larger ones where there would be more than 10,000', () => {
  expect(planParts(200 * MIB, 64 * MIB)).toEqual({ partSize: 64 * MIB, partCount: 4 });
  const huge = planParts(5 * 1024 ** 4, 64 * MIB);
  expect(huge.partSize).toBe(525 * MIB);
  expect(huge.partCount).toBeLessThanOrEqual(MAX_PARTS);
});

test('the parts of any file make up exactly that file', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 * 1024 ** 4 }), fc.integer({ min: 5 * MIB, max: 512 * MIB }), (size, preferred) => {
      const plan = planParts(size, preferred);
      const last = sizeOfPart(plan.partCount, plan, size);
      expect(plan.partCount).toBeLessThanOrEqual(MAX_PARTS);
      expect(last).toBeGreaterThan(0);
      expect(last).toBeLessThanOrEqual(plan.partSize);
      expect(plan.partSize * (plan.partCount - 1) + last).toBe(size);
    }),
  );
});

test('a pause doubles with each failure, up to the longest', () => {
  const terms = { RETRY_BASE_SECONDS: 1, RETRY_MAX_SECONDS: 60 };
  expect([1, 2, 3, 7, 1000].map((failures) => backoffMs(failures, terms))).toEqual([1000, 2000, 4000, 60_000, 60_000]);
});

test.each([
  ['text/plain', 'TEXT/Plain', true],
  ['text/plain; charset=utf-8', 'text/plain;charset="utf-8"', true],
  ['multipart/x;a=1;b=2', 'multipart/x; b=2; a=1', true],
  ['text/plain;name="a;b"', 'text/plain; name="a;b"', true],
  ['text/plain;name="a;b"', 'text/plain; name="a', false],
  ['text/plain; charset=utf-8', 'text/plain', false],
  ['image/png', 'image/jpeg', false],
])('%s and %s are the same type: %s', (a, b, same) => {
  expect(sameType(a, b)).toBe(same);
});
