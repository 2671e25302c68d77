import { describe, expect, test } from '@jest/globals';
import { evaluatePreconditions, ifRangeHolds, parseRange } from '../../../src/http/ranges.ts';

const AT = Date.parse('2026-11-24T10:00:00.500Z');
const validator = { etag: '"abc"', modifiedAt: AT };
const DATE = new Date(AT).toUTCString();
const EARLIER = new Date(AT - 60_000).toUTCString();
const LATER = new Date(AT + 60_000).toUTCString();

describe('Range of 10 bytes', () => {
  test.each([
    [undefined, { kind: 'whole' }],
    ['bytes=0-3', { kind: 'part', range: { start: 0, end: 3 } }],
    ['Bytes = 0-3', { kind: 'part', range: { start: 0, end: 3 } }],
    ['bytes=4-', { kind: 'part', range: { start: 4, end: 9 } }],
    ['bytes=-3', { kind: 'part', range: { start: 7, end: 9 } }],
    ['bytes=-99', { kind: 'part', range: { start: 0, end: 9 } }],
    ['bytes=8-99', { kind: 'part', range: { start: 8, end: 9 } }],
    ['bytes=0-1,4-5', { kind: 'whole' }],
    ['lines=1-2', { kind: 'whole' }],
    ['bytes=10-', { kind: 'unsatisfiable' }],
    ['bytes=5-2', { kind: 'unsatisfiable' }],
    ['bytes=abc', { kind: 'unsatisfiable' }],
    ['bytes=-0', { kind: 'unsatisfiable' }],
  ])('%j', (header, expected) => {
    expect(parseRange(header, 10)).toEqual(expected);
  });

  test('nothing of an empty file can be asked for', () => {
    expect(parseRange('bytes=0-', 0)).toEqual({ kind: 'unsatisfiable' });
  });
});

test.each([
  [{}, 'pass'],
  [{ 'if-none-match': '"abc"' }, 'not_modified'],
  [{ 'if-none-match': '"x", W/"abc"' }, 'not_modified'],
  [{ 'if-none-match': '*' }, 'not_modified'],
  [{ 'if-none-match': '"x"' }, 'pass'],
  [{ 'if-none-match': '"x"', 'if-modified-since': LATER }, 'pass'],
  [{ 'if-modified-since': DATE }, 'not_modified'],
  [{ 'if-modified-since': EARLIER }, 'pass'],
  [{ 'if-modified-since': 'yesterday' }, 'pass'],
  [{ 'if-match': '"abc"' }, 'pass'],
  [{ 'if-match': '*' }, 'pass'],
  [{ 'if-match': 'W/"abc"' }, 'failed'],
  [{ 'if-match': '"x"' }, 'failed'],
  [{ 'if-unmodified-since': EARLIER }, 'failed'],
  [{ 'if-unmodified-since': DATE }, 'pass'],
  [{ 'if-match': '"abc"', 'if-unmodified-since': EARLIER }, 'pass'],
])('preconditions %j: %s', (headers, expected) => {
  expect(evaluatePreconditions(headers, validator)).toBe(expected);
});

test.each([
  [undefined, true],
  ['"abc"', true],
  ['"x"', false],
  ['W/"abc"', false],
  [DATE, true],
  [LATER, false],
])('If-Range %j: %s', (header, expected) => {
  expect(ifRangeHolds(header, validator)).toBe(expected);
});
