import { expect, test } from '@jest/globals';
import { validate, version } from 'uuid';
import { idSource } from '../../src/ids.ts';

test('ids are UUIDv7 of the time they were made at, and rise', () => {
  let now = Date.UTC(2026, 0, 1);
  const newId = idSource(() => now);
  const ids: string[] = [];
  for (let i = 0; i < 2000; i += 1) {
    if (i % 5 === 0) now += 1;
    if (i === 1000) now -= 50;
    ids.push(newId());
  }
  expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
  expect(Number.parseInt((ids[0] as string).replaceAll('-', '').slice(0, 12), 16)).toBe(Date.UTC(2026, 0, 1) + 1);
});

test('two sources give different ids at the same time', () => {
  const [one, other] = [idSource(() => 1), idSource(() => 1)];
  const ids = new Set(Array.from({ length: 1000 }, () => [one(), other()]).flat());
  expect(ids.size).toBe(2000);
});
