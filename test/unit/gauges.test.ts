import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { WindlassError } from '../../src/errors.ts';
import { Gauges } from '../../src/gauges.ts';
import { createMetrics } from '../../src/metrics.ts';
import type { Platform } from '../../src/platform.ts';
import { acceptRelay, openTestPlatform, type TestPlatform } from '../support/platform.ts';

const away = (code: 'repository_unavailable' | 'queue_unavailable' | 'store_unavailable') => async (): Promise<never> => {
  throw new WindlassError(code, 'away');
};

let bench: TestPlatform;
let now: number;
beforeEach(async () => {
  bench = await openTestPlatform();
  now = Date.now();
});
afterEach(() => bench.close());

const gaugesOf = (parts: Partial<Platform> = {}, servesApi = true): Gauges =>
  new Gauges({ ...bench.platform, ...parts, clock: () => now }, { servesApi });
const value = async (series: string): Promise<string | undefined> =>
  (await bench.platform.metrics.registry.metrics())
    .split('\n')
    .find((line) => line.startsWith(`${series} `))
    ?.slice(series.length + 1);
const overridden = <T extends object>(target: T, members: Partial<T>): T =>
  new Proxy(target, {
    get(from, key) {
      const member = Reflect.get(key in members ? members : from, key);
      return typeof member === 'function' ? member.bind(from) : member;
    },
  });

describe('the gauges', () => {
  test('say how old the backlog is, and that everything is up', async () => {
    await acceptRelay(bench, Buffer.from('waits'));
    now += 90_000;
    await gaugesOf().refresh();
    expect(Number(await value('windlass_queued_oldest_seconds'))).toBeGreaterThanOrEqual(89);
    expect(await value('windlass_outbox_messages')).toBe('2');
    expect(await value('windlass_queue_jobs{state="ready"}')).toBe('0');
    for (const dependency of ['database', 'broker', 'store'])
      expect(await value(`windlass_dependency_up{dependency="${dependency}"}`)).toBe('1');
    expect(Number(await value('windlass_spool_capacity_bytes'))).toBeGreaterThan(0);
  });

  test('are gone, not old, when they cannot be found out, and come back', async () => {
    const { uploads, queue, store } = bench.platform;
    let up = true;
    const gauges = gaugesOf({
      uploads: overridden(uploads, { backlog: () => (up ? uploads.backlog() : away('repository_unavailable')()) }),
      queue: overridden(queue, { depth: () => (up ? queue.depth() : away('queue_unavailable')()) }),
      store: overridden(store, { head: (key) => (up ? store.head(key) : away('store_unavailable')()) }),
    });
    await gauges.refresh();
    up = false;
    now += 61_000;
    await gauges.refresh();
    for (const gone of [
      'windlass_outbox_messages',
      'windlass_outbox_oldest_seconds',
      'windlass_queued_oldest_seconds',
      'windlass_queue_jobs{state="dead"}',
    ])
      expect([gone, await value(gone)]).toEqual([gone, undefined]);
    for (const dependency of ['database', 'broker', 'store'])
      expect(await value(`windlass_dependency_up{dependency="${dependency}"}`)).toBe('0');
    up = true;
    now += 5000;
    await gauges.refresh();
    expect(await value('windlass_outbox_messages')).toBe('0');
    for (const dependency of ['database', 'broker', 'store'])
      expect(await value(`windlass_dependency_up{dependency="${dependency}"}`)).toBe('1');
  });

  test('ask once however many read at the same time, and the store only when nobody else did', async () => {
    const { uploads, store } = bench.platform;
    const asked = { backlog: 0, head: 0 };
    const count = <T>(what: keyof typeof asked, question: () => Promise<T>): Promise<T> => {
      asked[what] += 1;
      return question();
    };
    const gauges = gaugesOf({
      uploads: overridden(uploads, { backlog: () => count('backlog', () => uploads.backlog()) }),
      store: overridden(store, { head: (key) => count('head', () => store.head(key)) }),
    });
    await Promise.all([gauges.refresh(), gauges.refresh(), gauges.refresh()]);
    now += 30_000;
    await gauges.refresh();
    expect(asked).toEqual({ backlog: 2, head: 1 });
    now += 61_000;
    await gauges.refresh();
    expect(asked.head).toBe(2);
  });

  test('of a worker are only whether its dependencies are up', async () => {
    const metrics = createMetrics('test', { role: 'relay' });
    await gaugesOf({ metrics }, false).refresh();
    const text = await metrics.registry.metrics();
    expect(text).toContain('windlass_dependency_up{dependency="database"} 1');
    expect(text).not.toMatch(/windlass_(outbox|spool|queue)/);
  });
});
