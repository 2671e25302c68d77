import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { panelQueries } from '../rules/rule-files.ts';
import { dockerIsThere } from '../services/servers.ts';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { prometheusIsThere } from '../support/prometheus.ts';
import { shortened, startWatchedStack, type WatchedStack } from './watched-stack.ts';

const PATIENCE_MS = 100_000;
/** Ten minutes are ten seconds here, and two are two: a busy machine takes as long with nothing being wrong. */
const OF_A_BUSY_MACHINE = ['WindlassQueuedTooLong', 'WindlassOutboxStuck'];
const BUDGET_ALERTS = ['WindlassUploadErrorBudgetBurningFast', 'WindlassUploadErrorBudgetBurningSlowly'];
const canRun = prometheusIsThere() && (await dockerIsThere());
if (!canRun) process.stderr.write('No Prometheus or no Docker here: the tests of faults are skipped.\n');

test('the rules are shortened in all their times, and nothing else', () => {
  expect(shortened('rate(x{le=~"300(\\\\.0)?"}[5m]) > 10 * 60\n  for: 15m')).toBe('rate(x{le=~"300(\\\\.0)?"}[5s]) > 10 * 1\n  for: 15s');
  expect(shortened('predict_linear(x[1h], 4 * 60 * 60)')).toBe('predict_linear(x[60s], 4 * 60 * 1)');
});

(canRun ? describe : describe.skip)('a stack that Prometheus watches', () => {
  let watched: WatchedStack;
  const seen = new Set<string>();
  const look = async (): Promise<string[]> => {
    const firing = await watched.prometheus.firing();
    for (const alert of firing) seen.add(alert);
    return firing;
  };
  /** Alerts that are right for as long as the windows of days remember it, where an upload really was refused or given up. */
  const remembered = async (): Promise<string[]> => {
    const [bad] = await watched.prometheus.query('sum(windlass_uploads_total{outcome=~"refused|failed"})');
    return bad?.value ? BUDGET_ALERTS : [];
  };
  const quiet = () =>
    eventually(async () => {
      const right = await remembered();
      expect((await look()).filter((alert) => !right.includes(alert))).toEqual([]);
    }, PATIENCE_MS);
  const wrong = async (expected: readonly string[]): Promise<string[]> => {
    const right = [...expected, ...OF_A_BUSY_MACHINE, ...(await remembered())];
    return [...seen].filter((alert) => !right.includes(alert));
  };

  const filledIn = (expr: string): string =>
    expr
      .replaceAll(/\$(namespace|release|tenant)\b/g, '.*')
      .replaceAll('$queues', watched.stack.settings.RABBITMQ_PREFIX ?? '')
      .replaceAll('$__rate_interval', '20s');
  /** What a panel of a dashboard shows now. */
  const shown = async (panel: string): Promise<number[]> => {
    const values = await Promise.all(
      panelQueries()
        .filter((query) => query.panel === panel)
        .map(async ({ expr }) => (await watched.prometheus.query(filledIn(expr))).map(({ value }) => value)),
    );
    return values.flat();
  };

  /**
   * Waits until all of `expected` have fired and the dashboards have shown the cause, then until all is quiet again, and
   * looks that nothing but `also` fired besides.
   */
  const fires = async (
    expected: readonly string[],
    also: readonly string[],
    causes: Record<string, (value: number) => boolean>,
    heal: () => Promise<void> | void,
  ): Promise<void> => {
    const untold = new Map(Object.entries(causes));
    try {
      await eventually(async () => {
        await look();
        const showing: Record<string, number[]> = {};
        for (const [panel, tells] of untold) {
          showing[panel] = await shown(panel);
          if (showing[panel].some(tells)) untold.delete(panel);
        }
        expect([...seen]).toEqual(expect.arrayContaining([...expected]));
        expect({ showing, untold: [...untold.keys()] }).toMatchObject({ untold: [] });
      }, PATIENCE_MS);
    } finally {
      await heal();
    }
    await quiet();
    expect(await wrong([...expected, ...also])).toEqual([]);
  };

  beforeAll(async () => {
    watched = await startWatchedStack();
  }, PATIENCE_MS);
  afterAll(() => watched[Symbol.asyncDispose](), 60_000);

  test('works: nothing fires under load', async () => {
    await watched.load.works();
    await quiet();
    seen.clear();
    await watched.load.works(['direct', 'relay', 'presign', 'complete'], 6);
    await look();
    expect(await wrong([])).toEqual([]);
  });

  describe('every panel of the dashboards has something to show', () => {
    const asked = panelQueries().map(({ dashboard, panel, expr }) => ({ panel: `${dashboard}: ${panel}`, expr }));
    test.each(asked)('$panel: $expr', async ({ expr }) => {
      await eventually(async () => {
        const samples = await watched.prometheus.query(filledIn(expr));
        expect(samples.filter(({ value }) => !Number.isNaN(value)).length).toBeGreaterThan(0);
      });
    });
  });

  describe('an alert tells of', () => {
    beforeEach(async () => {
      await quiet();
      seen.clear();
    }, PATIENCE_MS);

    test('a slow store', async () => {
      const { store } = watched.servers;
      await store.way.poison({ type: 'latency', attributes: { latency: 1700 } }, { stream: 'downstream' });
      await fires(['WindlassStoreSlow'], [], { 'Slow calls (90th percentile)': (seconds) => seconds > 1 }, () => store.way.cure());
    });

    test('a store that is away', async () => {
      const { store } = watched.servers;
      const api = new ApiClient(String(watched.stack.apis[0]?.url));
      const { body } = await api.raw('relay', 'in the store');
      await api.settled(body.id);
      await store.way.sever();
      // The server has no work to do with the store by itself: a reader makes it find out.
      expect((await api.fetch(`/v1/uploads/${body.id}/content?stream=1`)).status).toBe(503);
      const causes = { 'Calls that failed': (rate: number) => rate > 0, 'Dependencies down': (count: number) => count >= 1 };
      await fires(['WindlassStoreFailing', 'WindlassDependencyDown'], ['WindlassStoreSlow'], causes, () => store.way.mend());
    });

    test('a broker that is away', async () => {
      const { rabbit } = watched.servers;
      await rabbit.way.sever();
      const causes = { Outbox: (messages: number) => messages > 0, 'Dependencies down': (count: number) => count >= 1 };
      await fires(['WindlassDependencyDown', 'WindlassOutboxStuck'], [], causes, () => rabbit.way.mend());
    });

    test('a tenant that floods', async () => {
      const [api] = watched.stack.apis;
      let on = true;
      // What costs the server little: only the tenant's own limit is to be felt.
      const flood = (async () => {
        while (on) {
          await Promise.all(Array.from({ length: 20 }, () => fetch(`${api?.url}/v1/nothing`).catch(() => null)));
          await pause(100);
        }
      })();
      await fires(['WindlassTenantFlooding'], [], { 'Requests answered 429': (rate) => rate > 0 }, async () => {
        on = false;
        await flood;
      });
    });

    test('a spool that fills', async () => {
      const { smallSpool } = watched;
      if (!smallSpool) return void process.stderr.write('No file system may be mounted here: the spool is not filled.\n');
      const { blocks, bsize } = await statfs(smallSpool);
      const ballast = join(smallSpool, 'ballast');
      await writeFile(ballast, Buffer.alloc(Math.floor(blocks * bsize * 0.93)));
      await fires(['WindlassSpoolFilling'], [], { 'Spools in use': (share) => share > 0.9 }, () => rm(ballast));
    });

    test('jobs without a worker', async () => {
      const [worker] = watched.stack.workers;
      await worker?.stop();
      // MetricsAbsent ends by itself an hour (here: a minute) after the last worker was seen.
      await fires(['WindlassNoWorkers', 'WindlassMetricsAbsent'], [], { 'Workers and slots': (count) => count === 0 }, async () => {
        const opsPort = String(worker?.opsPort);
        watched.stack.workers[0] = await watched.stack.startWorker({ OPS_PORT: opsPort });
      });
    });
  });
});
