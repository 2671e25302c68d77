import { expect, test } from '@jest/globals';
import { Pace } from '../../../../src/adapters/disk/pace.ts';

const taken = (pace: Pace, files: number): number => Array.from({ length: files }, () => pace.take()).filter(Boolean).length;

test('a quick disk takes every file, also after one that took long', () => {
  const pace = new Pace();
  for (let file = 0; file < 50; file += 1) pace.took(0.05);
  pace.took(500);
  expect(taken(pace, 100)).toBe(100);
});

test('a slow disk is found out soon, and again when it is slow no more', () => {
  const pace = new Pace();
  for (let file = 0; file < 8; file += 1) pace.took(8);
  expect(taken(pace, 640)).toBe(10);
  for (let file = 0; file < 50; file += 1) pace.took(0.05);
  expect(taken(pace, 100)).toBe(100);
});
