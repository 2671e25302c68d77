import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import { Ledger } from '../../../src/ledger.ts';
import type { Job, JobQueue } from '../../../src/ports/job-queue.ts';
import type { UploadEvent, UploadEvents } from '../../../src/ports/upload-events.ts';
import { Dispatcher } from '../../../src/relay/dispatcher.ts';
import { acceptRelay, openTestPlatform, type TestPlatform, until } from '../../support/platform.ts';

const BYTES = Buffer.from('some bytes');
let bench: TestPlatform;
let jobs: Job[];
let events: UploadEvent[];
let queueAway: boolean;
let eventsAway: boolean;
/** Messages that were taken out of their records, by update. */
let removals: (readonly string[])[];
/** Milliseconds that the dispatcher's clock is ahead. */
let ahead: number;
let dispatcher: Dispatcher;

beforeEach(async () => {
  const opened = await openTestPlatform({ OUTBOX_INTERVAL_SECONDS: '60' });
  jobs = [];
  events = [];
  removals = [];
  queueAway = eventsAway = false;
  ahead = 0;
  const unavailable = new WindlassError('queue_unavailable', 'The broker is away.');
  const publish: JobQueue['publish'] = async (job) => {
    if (queueAway) throw unavailable;
    jobs.push(job);
  };
  const tell: UploadEvents['publish'] = async (event) => {
    if (eventsAway) throw unavailable;
    events.push(event);
  };
  const queue = { ...opened.platform.queue, publish } as JobQueue;
  const clock = (): number => Date.now() + ahead;
  const uploads = new Proxy(opened.platform.uploads, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        if (name === 'removeMessages') removals.push(args[1] as string[]);
        return member.apply(target, args);
      };
    },
  });
  dispatcher = new Dispatcher({ ...opened.platform, uploads, clock, queue, events: { publish: tell, subscribe: () => () => undefined } });
  bench = { ...opened, ledger: new Ledger(opened.platform, (upload) => dispatcher.dispatch(upload)) };
});
afterEach(async () => {
  await dispatcher.stop();
  await bench.close();
});

const outboxOf = async ({ id }: Upload) => (await bench.platform.uploads.find(id))?.outbox;
const emptied = (upload: Upload) => until(async () => (await outboxOf(upload))?.length === 0);
const queueUp = async (): Promise<number | undefined> => {
  const { values } = await bench.platform.metrics.dependencyUp.get();
  return values.find(({ labels }) => labels.dependency === 'broker')?.value;
};
/** As by a process that was killed right after it wrote the record. */
const acceptAndCrash = (): Promise<Upload> => acceptRelay({ ...bench, ledger: new Ledger(bench.platform, () => undefined) }, BYTES);

test('what a change of state leaves in the record is published and taken out', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await emptied(upload);
  expect(jobs).toEqual([{ id: upload.outbox[0]?.id, kind: 'relay', uploadId: upload.id, trace: upload.trace }]);
  expect(events).toMatchObject([
    { id: upload.outbox[1]?.id, type: 'upload.queued', upload: { id: upload.id, state: 'queued', version: 1 } },
  ]);
});

test('events of one upload are told in the order in which it changed', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const lease = { token: 'a', expiresAt: Date.now() + 60_000 };
  const relaying = (await bench.ledger.transition(upload, 'relaying', { lease })) as Upload;
  const failed = (await bench.ledger.transition(relaying, 'failed')) as Upload;
  await bench.ledger.transition(failed, 'queued', {}, 'relay');
  await emptied(upload);
  await dispatcher.stop();
  const versions = [...new Set(events.map((event) => event.upload.version))];
  expect(versions).toEqual([1, 2, 3, 4]);
});

test('what is published of the beginning and the end of a job leaves its record by one update', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await emptied(upload);
  removals.length = 0;
  const lease = { token: 'a', expiresAt: Date.now() + 60_000 };
  const relaying = (await bench.ledger.transition(upload, 'relaying', { lease })) as Upload;
  await until(() => events.at(-1)?.type === 'upload.relaying');
  await bench.ledger.transition(relaying, 'stored');
  await dispatcher.stop();
  expect(await outboxOf(upload)).toEqual([]);
  const [, ...told] = events.map(({ id }) => id);
  expect(removals).toEqual([told]);
});

test('a job that takes longer does not leave the message of its beginning in the record', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await bench.ledger.transition(upload, 'relaying', { lease: { token: 'a', expiresAt: Date.now() + 60_000 } });
  await emptied(upload);
});

test('a change hands over its own messages alone: those before it are on their way', async () => {
  const upload = await acceptAndCrash();
  await bench.ledger.transition(upload, 'relaying', { lease: { token: 'a', expiresAt: Date.now() + 60_000 } });
  await until(() => events.length > 0);
  await dispatcher.stop();
  expect(jobs).toEqual([]);
  expect(events.map(({ type }) => type)).toEqual(['upload.relaying']);
});

test('messages left behind by a crash are found by the sweep', async () => {
  const uploads = [await acceptAndCrash(), await acceptAndCrash()];
  expect(jobs).toEqual([]);
  await dispatcher.sweep(Date.now() + 1);
  for (const upload of uploads) expect(await outboxOf(upload)).toEqual([]);
  expect(jobs.map(({ uploadId }) => uploadId).sort()).toEqual(uploads.map(({ id }) => id).sort());
});

test('the sweep leaves alone what was written a moment ago', async () => {
  const upload = await acceptAndCrash();
  await dispatcher.sweep();
  expect(await outboxOf(upload)).toHaveLength(2);
});

test('while the broker is away nothing is lost, and all is published once it is back', async () => {
  queueAway = true;
  const uploads = await Promise.all(Array.from({ length: 5 }, () => acceptRelay(bench, BYTES)));
  await until(async () => (await queueUp()) === 0);
  await dispatcher.sweep(Date.now() + 1);
  for (const upload of uploads) expect((await outboxOf(upload))?.map(({ kind }) => kind)).toContain('job');
  queueAway = false;
  await dispatcher.sweep(Date.now() + 1);
  for (const upload of uploads) expect(await outboxOf(upload)).toEqual([]);
  expect(new Set(jobs.map(({ uploadId }) => uploadId)).size).toBe(5);
  expect(await queueUp()).toBe(1);
});

test('while the broker is away only one job knocks at its door', async () => {
  queueAway = true;
  const first = await acceptRelay(bench, BYTES);
  await until(async () => (await queueUp()) === 0);
  queueAway = false;
  const second = await acceptRelay(bench, BYTES);
  await until(async () => (await outboxOf(second))?.length === 1);
  expect(jobs).toEqual([]);
  await dispatcher.sweep(Date.now() + 1);
  expect(jobs.map(({ uploadId }) => uploadId).sort()).toEqual([first.id, second.id].sort());
});

test('a process that does not sweep notices by a new job that the broker is back', async () => {
  queueAway = true;
  await acceptRelay(bench, BYTES);
  await until(async () => (await queueUp()) === 0);
  queueAway = false;
  ahead = 60_000;
  const later = [await acceptRelay(bench, BYTES), await acceptRelay(bench, BYTES)];
  for (const upload of later) await emptied(upload);
  expect(jobs.map(({ uploadId }) => uploadId)).toEqual(later.map(({ id }) => id));
  expect(await queueUp()).toBe(1);
});

test('what has waited is published as soon as the broker is known to be back', async () => {
  queueAway = true;
  const waiting = await acceptRelay(bench, BYTES);
  await until(async () => (await queueUp()) === 0);
  dispatcher.start();
  ahead = 60_000;
  const { leases } = bench.platform;
  // The first sweep has begun once its lease is taken; asked with a lease of its own that has long run out.
  await until(async () => !(await leases.acquire('outbox sweep', 'another', 0, 0)));
  queueAway = false;
  await acceptRelay(bench, BYTES);
  await emptied(waiting);
});

test('events that cannot be told hold back no job, not even that of a record behind them', async () => {
  eventsAway = true;
  const uploads: Upload[] = [];
  for (let count = 0; count < 120; count += 1) uploads.push(await acceptAndCrash());
  await dispatcher.sweep(Date.now() + 1);
  expect(jobs).toHaveLength(120);
  expect((await outboxOf(uploads[0] as Upload))?.map(({ kind }) => kind)).toEqual(['event']);
  const late = await acceptAndCrash();
  await dispatcher.sweep(Date.now() + 1);
  expect(jobs.at(-1)?.uploadId).toBe(late.id);
  eventsAway = false;
  await dispatcher.sweep(Date.now() + 1);
  expect(await outboxOf(uploads[119] as Upload)).toEqual([]);
});

test('once started it sweeps by itself, and stopping waits for what is under way', async () => {
  const upload = await acceptAndCrash();
  await bench.platform.uploads.apply({
    id: upload.id,
    version: 1,
    set: { updatedAt: 1 },
    emit: [{ id: 'old', kind: 'job', job: 'relay', at: 1 }],
  });
  ahead = 5000;
  dispatcher.start();
  await emptied(upload);
  await dispatcher.stop();
  await acceptRelay(bench, BYTES);
  expect(jobs.map(({ id }) => id)).toContain('old');
  expect(new Set(jobs.map(({ uploadId }) => uploadId))).toEqual(new Set([upload.id]));
});
