import { expect, test } from '@jest/globals';
import { type Problem, Refused, Unreachable } from '../../../src/client/failures.ts';
import { retrying } from '../../../src/client/retry.ts';

const ORIGIN = 'http://files.example.com';
const unreachable = (code: string) => new Unreachable(ORIGIN, Object.assign(new Error(code), { code }));

function refused(status: number, extras: Partial<Problem> = {}): Refused {
  const none = { title: '', detail: '', code: null, type: null, requestId: null, errors: [], facts: {}, retryAfter: null };
  return new Refused({ ...none, status, ...extras });
}

/** Runs a step that always fails; the pauses that were made, in ms. */
async function pausesAfter(error: Error, { reached = false, random = 1 } = {}): Promise<number[]> {
  const pauses: number[] = [];
  const terms = { hasReached: () => reached, sleep: async (ms: number) => pauses.push(ms), random: () => random };
  await expect(retrying(terms, () => Promise.reject(error))).rejects.toBe(error);
  return pauses;
}

const ALL = [500, 1000, 2000, 4000, 8000, 15_000, 15_000];

test('pauses grow, up to a limit, and the last error is told', async () => {
  expect(await pausesAfter(refused(503))).toEqual(ALL);
  expect(await pausesAfter(refused(503), { random: 0 })).toEqual(ALL.map((ms) => ms / 2));
});

test('a server that asks for a pause gets it, within reason', async () => {
  expect(await pausesAfter(refused(429, { retryAfter: 3 }))).toEqual(Array(7).fill(3000));
  expect(await pausesAfter(refused(507, { retryAfter: 86_400 }))).toEqual(Array(7).fill(60_000));
});

test.each([400, 401, 403, 404, 410, 413, 415, 422])('what is refused with %i is not tried again', async (status) => {
  expect(await pausesAfter(refused(status))).toEqual([]);
});

test('a conflict that may pass is tried again, another is not', async () => {
  expect(await pausesAfter(refused(409, { code: 'idempotency_in_progress' }))).toEqual(ALL);
  expect(await pausesAfter(refused(409, { code: 'not_uploaded' }))).toEqual([]);
});

test('a cut connection may pass; a server that was never there is given up at once', async () => {
  expect(await pausesAfter(unreachable('ECONNRESET'))).toEqual(ALL);
  expect(await pausesAfter(unreachable('ECONNREFUSED'))).toEqual([]);
  expect(await pausesAfter(unreachable('ENOTFOUND'))).toEqual([]);
});

test('a server that was there before may come back', async () => {
  expect(await pausesAfter(unreachable('ECONNREFUSED'), { reached: true })).toEqual(ALL);
});

test('the first success counts', async () => {
  let tries = 0;
  const terms = { hasReached: () => false, sleep: async () => undefined, random: () => 0 };
  const answer = await retrying(terms, async () => {
    if (++tries < 3) throw refused(503);
    return 'done';
  });

  expect([answer, tries]).toEqual(['done', 3]);
});
