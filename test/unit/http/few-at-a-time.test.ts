import { setImmediate as endOfTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { Context } from 'koa';
import { fewAtATime } from '../../../src/http/middleware/few-at-a-time.ts';

const open = (): Context => ({ res: { closed: false } }) as Context;

/** What has begun, by number, after each turn until nothing begins any more. */
async function turns(begun: readonly number[]): Promise<number[][]> {
  const seen: number[][] = [];
  for (let before = 0, now = begun.length; now > before; now = begun.length) {
    seen.push(begun.slice(before));
    before = now;
    await endOfTurn();
  }
  return seen;
}

test('of many requests four begin in each turn, in the order in which they came, though none of them ends', async () => {
  const [begin, begun] = [fewAtATime(), [] as number[]];
  for (let number = 0; number < 10; number += 1)
    begin(open(), () => {
      begun.push(number);
      return new Promise(() => undefined);
    });
  expect(await turns(begun)).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9],
  ]);
});

test('one that comes while others wait begins after them, and at once when nobody does', async () => {
  const [begin, begun] = [fewAtATime(), [] as number[]];
  const request = (number: number) => begin(open(), async () => void begun.push(number));
  for (let number = 0; number < 9; number += 1) request(number);
  await endOfTurn();
  request(9);
  expect(await turns(begun)).toEqual([
    [0, 1, 2, 3, 4, 5, 6, 7],
    [8, 9],
  ]);
  request(10);
  expect(begun.at(-1)).toBe(10);
});

test('one whose client has gone meanwhile is not begun, and holds up nobody', async () => {
  const [begin, begun] = [fewAtATime(), [] as number[]];
  const contexts = Array.from({ length: 12 }, open);
  const ended = contexts.map((ctx, number) => begin(ctx, async () => void begun.push(number)));
  for (const ctx of contexts.slice(4, 8)) Object.assign(ctx.res, { closed: true });
  await Promise.all(ended);
  expect(begun).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
});

test('what fails is told to whoever began it, also after waiting', async () => {
  const begin = fewAtATime();
  const ended = Array.from({ length: 5 }, () => begin(open(), () => Promise.reject(new Error('broken'))));
  expect(await Promise.allSettled(ended)).toEqual(Array.from({ length: 5 }, () => ({ status: 'rejected', reason: new Error('broken') })));
});
