import { expect, test } from '@jest/globals';
import { Pace } from '../../../../src/adapters/disk/pace.ts';

const taken = (pace: Pace, files: number): number => Array.from({ length: files }, () => pace.take()).filter(Boolean).length;
const took = (pace: Pace, ms: number, files: number): void => {
  for (let file = 0; file < files; file += 1) pace.took(ms);
};

test('a quick disk takes every file, also where a third of them wait for a processor', () => {
  const pace = new Pace();
  for (let round = 0; round < 50; round += 1) {
    took(pace, 5, 1);
    took(pace, 0.05, 2);
    expect(pace.take()).toBe(true);
  }
});

test('a disk that is slow from the start is found out by its first file', () => {
  const pace = new Pace();
  took(pace, 8, 1);
  expect(taken(pace, 640)).toBe(10);
});

test('a disk that becomes slow is found out, and again when it is slow no more', () => {
  const pace = new Pace();
  took(pace, 0.05, 1000);
  took(pace, 8, 40);
  expect(taken(pace, 640)).toBe(10);
  took(pace, 0.05, 16);
  expect(taken(pace, 100)).toBe(100);
});
