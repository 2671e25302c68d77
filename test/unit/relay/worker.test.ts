import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { JobKind, Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import { Ledger } from '../../../src/ledger.ts';
import type { Delivery, JobQueue, Settlement } from '../../../src/ports/job-queue.ts';
import type { ObjectStore } from '../../../src/ports/object-store.ts';
import { Dispatcher } from '../../../src/relay/dispatcher.ts';
import type { JobHandler } from '../../../src/relay/job-handler.ts';
import { RelayJob } from '../../../src/relay/relay-job.ts';
import { Worker } from '../../../src/relay/worker.ts';
import { Redrive } from '../../../src/strategies/redrive.ts';
import { acceptRelay, openTestPlatform, type TestPlatform, until } from '../../support/platform.ts';

const BYTES = Buffer.from('some bytes');
const done: Settlement = { outcome: 'done' };
const trace = { requestId: 'request-1', traceparent: null };
let bench: TestPlatform;
let dispatcher: Dispatcher;
let worker: Worker | null = null;

beforeEach(async () => {
  const opened = await openTestPlatform({ JOB_ATTEMPTS: '3', RETRY_BASE_SECONDS: '0' });
  dispatcher = new Dispatcher(opened.platform);
  bench = { ...opened, ledger: new Ledger(opened.platform, (upload) => dispatcher.dispatch(upload)) };
});
afterEach(async () => {
  await worker?.stop(0);
  worker = null;
  await dispatcher.stop();
  await bench.close();
});

async function startWorker(handlers: Partial<Record<JobKind, JobHandler>>): Promise<Worker> {
  const unexpected: JobHandler = () => Promise.reject(new Error('no job of this kind was expected'));
  worker = new Worker({ ...bench.platform, handlers: { relay: unexpected, complete: unexpected, backup: unexpected, ...handlers } });
  await worker.start();
  return worker;
}

function relayHandler(store: Partial<ObjectStore> = {}): JobHandler {
  const { platform, ledger } = bench;
  const changed = new Proxy(platform.store, { get: (target, name) => Reflect.get(store, name) ?? Reflect.get(target, name) });
  const relay = new RelayJob({ ...platform, store: changed, ledger });
  return (job, delivery) => relay.run(job, delivery);
}

const inState = (id: string, state: Upload['state']): Promise<Upload> =>
  until(async () => {
    const upload = await bench.platform.uploads.find(id);
    return upload?.state === state ? upload : null;
  });
const metric = async (name: string): Promise<Record<string, number>> => {
  const { values } = (await bench.platform.metrics.registry.getSingleMetric(name)?.get()) ?? { values: [] };
  return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(), value]));
};
const publish = (kind: JobKind, uploadId = bench.platform.newId()) =>
  bench.platform.queue.publish({ id: bench.platform.newId(), kind, uploadId, trace });

test('accepting an upload is all it takes to have it relayed', async () => {
  await startWorker({ relay: relayHandler() });
  const uploads = await Promise.all(Array.from({ length: 10 }, () => acceptRelay(bench, BYTES)));
  for (const { id } of uploads) expect(await inState(id, 'stored')).toMatchObject({ attempts: 1 });
  await until(async () => Object.values(await bench.platform.queue.depth()).every((count) => count === 0));
  expect(await metric('windlass_jobs_total')).toMatchObject({ done: 10, retry: 0, dead: 0 });
  expect(await metric('windlass_jobs_in_flight')).toEqual({ '': 0 });
});

test('a store that comes back gets the upload, try after try', async () => {
  let failures = 2;
  const put: ObjectStore['put'] = (key, source, signal) => {
    if (failures-- > 0) return Promise.reject(new WindlassError('store_unavailable', 'The store does not answer.'));
    return bench.platform.store.put(key, source, signal);
  };
  await startWorker({ relay: relayHandler({ put }) });
  const { id } = await acceptRelay(bench, BYTES);
  expect(await inState(id, 'stored')).toMatchObject({ attempts: 3 });
  await until(async () => (await metric('windlass_jobs_total')).done === 1);
  expect(await metric('windlass_jobs_total')).toMatchObject({ retry: 2, dead: 0 });
  expect(await metric('windlass_job_redeliveries_total')).toEqual({ '': 2 });
});

test('what failed for good is a dead letter until it is redriven', async () => {
  let broken = true;
  const put: ObjectStore['put'] = (key, source, signal) =>
    broken ? Promise.reject(new WindlassError('store_unavailable', 'away')) : bench.platform.store.put(key, source, signal);
  await startWorker({ relay: relayHandler({ put }) });
  const { id } = await acceptRelay(bench, BYTES);
  await inState(id, 'failed');
  const [dead] = await until(async () => {
    const letters = await bench.platform.queue.deadLetters(10);
    return letters.length > 0 ? letters : null;
  });
  expect(dead).toMatchObject({ job: { uploadId: id }, reason: 'store_unavailable' });
  broken = false;
  const queued = await new Redrive({ ...bench.platform, ledger: bench.ledger }).redrive(id);
  expect(queued).toMatchObject({ state: 'queued', attempts: 0, error: null });
  expect(await inState(id, 'stored')).toMatchObject({ attempts: 1 });
  expect(await bench.platform.queue.deadLetters(10)).toEqual([]);
});

test('a job that arrives twice makes one object and one commit', async () => {
  const { id } = await acceptRelay(bench, BYTES);
  for (let copy = 0; copy < 4; copy += 1) await publish('relay', id);
  await startWorker({ relay: relayHandler() });
  const stored = await inState(id, 'stored');
  expect(stored.attempts).toBe(1);
  expect(stored.history.map(({ state }) => state)).toEqual(['queued', 'relaying', 'stored']);
});

test('a handler that throws gets its job again', async () => {
  let calls = 0;
  await startWorker({
    async complete() {
      calls += 1;
      if (calls === 1) throw new Error('a bug');
      return done;
    },
  });
  await publish('complete');
  await until(() => calls === 2);
  await until(async () => (await metric('windlass_jobs_total')).done === 1);
  expect(await metric('windlass_jobs_total')).toMatchObject({ retry: 1, dead: 0 });
});

test('a job of a kind that this version does not know is put aside, not tried for ever', async () => {
  await startWorker({});
  await publish('constructor' as JobKind);
  await publish('shrink' as JobKind);
  const letters = await until(async () => {
    const dead = await bench.platform.queue.deadLetters(10);
    return dead.length === 2 ? dead : null;
  });
  expect(letters.map(({ reason }) => reason).sort()).toEqual(['unknown kind: constructor', 'unknown kind: shrink']);
});

test('stopping lets a job finish that is under way, and begins no other', async () => {
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  let calls = 0;
  const started = await startWorker({
    async complete() {
      calls += 1;
      begun.resolve();
      await finish.promise;
      return done;
    },
  });
  await publish('complete');
  await begun.promise;
  const stopped = started.stop(60_000);
  await publish('complete');
  finish.resolve();
  await stopped;
  expect(calls).toBe(1);
  expect(await bench.platform.queue.depth()).toMatchObject({ ready: 1, leased: 0 });
});

test('a job that outlasts the grace period is cut off and handed back', async () => {
  const begun = Promise.withResolvers<void>();
  const hanging: ObjectStore['put'] = (_key, _source, signal) =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
      begun.resolve();
    });
  const started = await startWorker({ relay: relayHandler({ put: hanging }) });
  const { id } = await acceptRelay(bench, BYTES);
  await begun.promise;
  await started.stop(0);
  expect(await bench.platform.uploads.find(id)).toMatchObject({ state: 'queued', attempts: 0, lease: null });
  expect(await bench.platform.queue.depth()).toMatchObject({ ready: 1, leased: 0 });
});

test('a job whose lease the queue gives to another is cut off', async () => {
  const handed = Promise.withResolvers<(delivery: Delivery) => Promise<Settlement>>();
  const consume: JobQueue['consume'] = async (handler) => {
    handed.resolve(handler);
    return { stop: async () => undefined };
  };
  const complete: JobHandler = (_job, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const queue = { ...bench.platform.queue, consume } as JobQueue;
  worker = new Worker({ ...bench.platform, queue, handlers: { relay: complete, complete, backup: complete } });
  await worker.start();
  const lost = new AbortController();
  const settled = (await handed.promise)({
    job: { id: 'job-1', kind: 'complete', uploadId: 'x', trace },
    deliveries: 0,
    signal: lost.signal,
  });
  lost.abort(new Error('the lease was lost'));
  expect(await settled).toEqual({ outcome: 'retry', delayMs: 0 });
});
