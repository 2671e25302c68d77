import { afterEach, expect, test } from '@jest/globals';
import { Periodic } from '../../src/periodic.ts';
import { eventually } from '../support/eventually.ts';

const periodic = new Periodic();
afterEach(() => periodic.stop());

const QUICK = { intervalMs: 5, firstMs: 1, onFailure: () => undefined };

test('runs again and again, never twice at once, and not after it was stopped', async () => {
  let [runs, atOnce, most] = [0, 0, 0];
  const run = async (): Promise<void> => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    await new Promise((resolve) => setTimeout(resolve, 20));
    atOnce -= 1;
    runs += 1;
  };
  periodic.start({ ...QUICK, run });
  await eventually(() => expect(runs).toBeGreaterThan(2));
  await periodic.stop();
  const ended = runs;
  expect([most, atOnce]).toEqual([1, 0]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(runs).toBe(ended);
});

test('goes on after a run that failed, and tells why', async () => {
  const failures: unknown[] = [];
  let runs = 0;
  const run = async (): Promise<void> => {
    runs += 1;
    if (runs === 1) throw new Error('the first');
  };
  periodic.start({ ...QUICK, run, onFailure: (error) => failures.push(error) });
  await eventually(() => expect(runs).toBeGreaterThan(2));
  expect(failures).toEqual([new Error('the first')]);
});

test('breaks off the run under way, whose failure then is none', async () => {
  const failures: unknown[] = [];
  let begun = false;
  const run = (signal: AbortSignal): Promise<never> => {
    begun = true;
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  periodic.start({ ...QUICK, run, onFailure: (error) => failures.push(error) });
  await eventually(() => expect(begun).toBe(true));
  await periodic.stop();
  expect(failures).toEqual([]);
});

test('never begins with an interval of 0', async () => {
  let runs = 0;
  const run = async (): Promise<void> => {
    runs += 1;
  };
  periodic.start({ ...QUICK, intervalMs: 0, run });
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(runs).toBe(0);
});
