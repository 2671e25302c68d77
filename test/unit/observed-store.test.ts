import { expect, test } from '@jest/globals';
import { WindlassError } from '../../src/errors.ts';
import { createMetrics } from '../../src/metrics.ts';
import { observedStore } from '../../src/observed-store.ts';
import type { ObjectInfo, ObjectSource, ObjectStore } from '../../src/ports/object-store.ts';

const MIB = 1024 ** 2;
const metrics = createMetrics('1.2.3');
const source = (size: number) => ({ size }) as ObjectSource;

/** Calls that were counted, as `operation outcome`, each as often as it was. */
async function counted(): Promise<string[]> {
  const { values } = await metrics.storeRequestDuration.get();
  return values
    .filter(({ metricName, value }) => metricName?.endsWith('_count') && value > 0)
    .map(({ labels: { operation, outcome }, value }) => `${operation} ${outcome} ${value}`)
    .sort();
}

test('each call is counted by what it asked for and how it ended, files of at most a mebibyte by themselves', async () => {
  const unavailable = new WindlassError('store_unavailable', 'The store is away.');
  let failure: Error | null = null;
  const put = async (key: string) => {
    if (failure) throw failure;
    return { key } as ObjectInfo;
  };
  const store = observedStore({ name: 's3', put, head: async () => null } as unknown as ObjectStore, metrics);
  expect(store.name).toBe('s3');
  expect(await store.put('a', source(MIB))).toEqual({ key: 'a' });
  await store.put('b', source(MIB + 1));
  await store.put('c', source(0));
  expect(await store.head('a')).toBeNull();
  failure = unavailable;
  await expect(store.put('d', source(1))).rejects.toBe(unavailable);
  await expect(store.put('e', source(1), AbortSignal.abort())).rejects.toBe(unavailable);
  failure = new WindlassError('digest_mismatch', 'Other bytes.');
  await expect(store.put('f', source(2 * MIB))).rejects.toBe(failure);
  expect(await counted()).toEqual([
    'head ok 1',
    'put error 1',
    'put ok 1',
    'putSmall aborted 1',
    'putSmall ok 2',
    'putSmall unavailable 1',
  ]);
});
