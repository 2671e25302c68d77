import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { createUpload } from '../../../src/core/upload.ts';
import { Ledger } from '../../../src/ledger.ts';
import { createMetrics } from '../../../src/metrics.ts';
import type { Platform } from '../../../src/platform.ts';
import { Resources } from '../../../src/strategies/resources.ts';
import { MemoryRecords } from '../../support/memory-records.ts';

const IDS = Array.from({ length: 4 }, (_, i) => `01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a9${i}`);
const metrics = createMetrics('test');
const log = pino({ level: 'silent' });
const live = async (): Promise<void> => undefined;
const always = (): void => undefined;

interface Act {
  resource: string;
  /** Null deletes the resource. */
  uploads: string[] | null;
  /** After how many steps the process dies. */
  steps: number;
}

const act = (resources: string[]) =>
  fc.record<Act>({
    resource: fc.constantFrom(...resources),
    uploads: fc.option(fc.subarray(IDS), { freq: 6 }),
    steps: fc.oneof(
      { weight: 2, arbitrary: fc.integer({ min: 4, max: 60 }) },
      { weight: 1, arbitrary: fc.constant(Number.POSITIVE_INFINITY) },
    ),
  });

/** Uploads that are stored, and processes that each have their own way to the records. */
function world() {
  const records = new MemoryRecords();
  let now = 1;
  const clock = (): number => {
    now += 1;
    return now;
  };
  const trace = { requestId: 'r', traceparent: null };
  const fields = {
    tenant: 'acme',
    strategy: 'direct',
    filename: 'f',
    contentType: 'a/b',
    size: 1,
    sha256: null,
    resource: null,
    metadata: {},
    trace,
  } as const;
  for (const id of IDS) {
    const location = { store: 'disk', bucket: null, key: id, node: 'local' } as const;
    records.uploads.set(id, createUpload({ ...fields, id, location }, { now: 1, newId: () => id }));
  }
  const process = (gate: () => Promise<void>): Resources => {
    const uploads = records.uploadsFor(gate) as Platform['uploads'];
    const disk = { stat: async (key: string) => ({ key, size: 1, modifiedAt: 0 }) } as unknown as Platform['direct'];
    const disks = { spoolOf: () => disk, directOf: () => disk };
    const ledger = new Ledger({ uploads, metrics, log, clock, newId: () => 'message' }, () => undefined);
    const completion = { complete: () => Promise.reject(new Error('nothing is pending')) };
    const store = {} as Platform['store'];
    return new Resources({ uploads, resources: records.resourcesFor(gate), store, disks, clock, ledger, completion });
  };
  const linkedTo = (id: string): string[] =>
    [...records.uploads.values()].filter(({ resource }) => resource?.id === id).map((upload) => upload.id);
  /** What the reconciler does, as often as it takes. */
  const reconcile = async (): Promise<void> => {
    const resources = process(live);
    for (let found = [...records.resources.values()]; found.some(({ intent }) => intent); found = [...records.resources.values()])
      for (const resource of found) await resources.finishIntent(resource);
  };
  return { records, process, linkedTo, reconcile };
}

/** Lets all acts happen at once, in an order that the scheduler chooses; those that die leave their promises behind. */
async function happen(scheduler: fc.Scheduler, acts: readonly Act[], { process }: ReturnType<typeof world>): Promise<void> {
  for (const { resource, uploads, steps } of acts) {
    let left = steps;
    const gate = async (): Promise<void> => {
      left -= 1;
      if (left < 0) await new Promise(() => undefined);
      await scheduler.schedule(Promise.resolve());
    };
    const key = { tenant: 'acme', type: 'post', id: resource };
    const resources = process(gate);
    const done = uploads === null ? resources.remove(key, always) : resources.put(key, { uploads: uploads.map((id) => ({ id })) }, always);
    // A conflict or a missing resource is an answer too.
    done.catch(() => undefined);
  }
  await scheduler.waitIdle();
}

test('however PUTs and DELETEs interleave and die, the links end as the last one decided that they shall be', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(act(['1']), { minLength: 1, maxLength: 6 }), async (scheduler, acts) => {
      const scene = world();
      await happen(scheduler, acts, scene);
      await scene.reconcile();
      const last = scene.records.decided.at(-1)?.intent?.uploads ?? [];
      expect(scene.linkedTo('1').sort()).toEqual([...last].sort());
    }),
    { numRuns: 400 },
  );
});

test('with several resources no upload ends where the last decision does not name it, nor nowhere when one alone wants it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(act(['1', '2']), { minLength: 2, maxLength: 6 }), async (scheduler, acts) => {
      const scene = world();
      await happen(scheduler, acts, scene);
      await scene.reconcile();
      const last = (id: string): string[] => scene.records.decided.findLast((resource) => resource.id === id)?.intent?.uploads ?? [];
      const everNamed = (id: string): Set<string> =>
        new Set(scene.records.decided.filter((resource) => resource.id === id).flatMap(({ intent }) => intent?.uploads ?? []));
      for (const [one, other] of [
        ['1', '2'],
        ['2', '1'],
      ] as const) {
        for (const id of scene.linkedTo(one)) expect(last(one)).toContain(id);
        const contested = everNamed(other);
        for (const id of last(one)) if (!contested.has(id)) expect(scene.linkedTo(one)).toContain(id);
      }
    }),
    { numRuns: 400 },
  );
});

test('what was linked elsewhere after a crash stays there when the reconciler finishes what the crash left', async () => {
  const scene = world();
  const [id = ''] = IDS;
  const key = (resource: string) => ({ tenant: 'acme', type: 'post', id: resource });
  const order = { uploads: [{ id }] };
  let steps = 0;
  const died = new Promise<void>((resolve) => {
    const gate = async (): Promise<void> => {
      steps += 1;
      // The last step that goes through is the decision.
      if (scene.records.decided.length > 0) {
        resolve();
        await new Promise(() => undefined);
      }
    };
    void scene.process(gate).put(key('1'), order, always);
  });
  await died;
  expect(steps).toBeGreaterThan(0);
  expect(scene.linkedTo('1')).toEqual([]);
  await scene.process(live).put(key('2'), order, always);
  await scene.reconcile();
  expect(scene.linkedTo('2')).toEqual([id]);
  expect(scene.linkedTo('1')).toEqual([]);
});
