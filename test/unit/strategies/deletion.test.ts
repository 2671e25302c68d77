import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import type { Platform } from '../../../src/platform.ts';
import { Deletion } from '../../../src/strategies/deletion.ts';
import { Redrive } from '../../../src/strategies/redrive.ts';
import { acceptDirect, acceptRelay, openTestPlatform, type TestPlatform } from '../../support/platform.ts';

const BYTES = Buffer.from('some bytes');
const trace = { requestId: 'request-1', traceparent: null };
let bench: TestPlatform;
beforeEach(async () => {
  bench = await openTestPlatform();
});
afterEach(() => bench.close());

const deletion = (changes: Partial<Platform> = {}) => new Deletion({ ...bench.platform, ...changes, ledger: bench.ledger });
const redrive = () => new Redrive({ ...bench.platform, ledger: bench.ledger });
const failedRelay = async (): Promise<Upload> =>
  (await bench.ledger.transition(await acceptRelay(bench, BYTES), 'failed', {
    error: { code: 'store_unavailable', detail: 'away' },
    attempts: 12,
  })) as Upload;

test('a deleted upload is gone, with its bytes and its dead job; the second time it is not found', async () => {
  const direct = await acceptDirect(bench, BYTES);
  const failed = await failedRelay();
  const { queue } = bench.platform;
  await queue.publish({ id: 'job-1', kind: 'relay', uploadId: failed.id, trace });
  const consumer = await queue.consume(async () => ({ outcome: 'dead', reason: 'store_unavailable' }), 1);
  while ((await queue.deadLetters(1)).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await consumer.stop(0);
  for (const { id } of [direct, failed]) {
    await deletion().delete(id);
    expect((await bench.platform.uploads.find(id))?.state).toBe('deleted');
    await expect(deletion().delete(id)).rejects.toMatchObject({ code: 'not_found' });
  }
  expect(await bench.platform.direct.stat(direct.location?.key ?? '')).toBeNull();
  expect(await bench.platform.spool.stat(failed.spool?.key ?? '')).toBeNull();
  expect(await queue.deadLetters(1)).toEqual([]);
});

test('a disk that does not let go does not keep the upload from being deleted; the record still says where the bytes are', async () => {
  const upload = await acceptDirect(bench, BYTES);
  const direct = new Proxy(bench.platform.direct, {
    get: (target, name) => (name === 'remove' ? () => Promise.reject(new Error('read-only')) : Reflect.get(target, name)),
  });
  await deletion({ direct }).delete(upload.id);
  expect(await bench.platform.uploads.find(upload.id)).toMatchObject({ state: 'deleted', location: upload.location });
});

test('an unknown upload cannot be deleted', async () => {
  await expect(deletion().delete(bench.platform.newId())).rejects.toMatchObject({ code: 'not_found' });
});

test('a failed relay starts again with all its tries', async () => {
  const { id } = await failedRelay();
  const queued = await redrive().redrive(id);
  expect(queued).toMatchObject({ state: 'queued', attempts: 0, error: null });
  expect(queued.outbox.at(-2)).toMatchObject({ kind: 'job', job: 'relay' });
});

test('what did not fail, is no relay, or has lost its bytes cannot be tried again', async () => {
  const waiting = await acceptRelay(bench, BYTES);
  const direct = await acceptDirect(bench, BYTES);
  const lost = await failedRelay();
  await bench.platform.spool.remove(lost.spool?.key ?? '');
  for (const { id } of [waiting, direct, lost]) await expect(redrive().redrive(id)).rejects.toMatchObject({ code: 'not_redrivable' });
  expect((await bench.platform.uploads.find(lost.id))?.version).toBe(lost.version);
  await expect(redrive().redrive(bench.platform.newId())).rejects.toMatchObject({ code: 'not_found' });
});

test('two who redrive at once start one run', async () => {
  const { id } = await failedRelay();
  const results = await Promise.allSettled([redrive().redrive(id), redrive().redrive(id)]);
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'not_redrivable' } });
});

test('a broker that is away does not keep an upload from its next try', async () => {
  const { id } = await failedRelay();
  const queue = new Proxy(bench.platform.queue, {
    get: (target, name) =>
      name === 'removeDead' ? () => Promise.reject(new WindlassError('queue_unavailable', 'away')) : Reflect.get(target, name),
  });
  expect(await new Redrive({ ...bench.platform, queue, ledger: bench.ledger }).redrive(id)).toMatchObject({ state: 'queued' });
});
