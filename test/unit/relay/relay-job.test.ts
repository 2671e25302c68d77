import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ServersDisks } from '../../../src/adapters/node-disks/node-disks.ts';
import { diskKeyOf, keyOf } from '../../../src/core/keys.ts';
import type { Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import type { Job } from '../../../src/ports/job-queue.ts';
import type { ObjectStore } from '../../../src/ports/object-store.ts';
import { RelayJob } from '../../../src/relay/relay-job.ts';
import { Deletion } from '../../../src/strategies/deletion.ts';
import { acceptRelay, bytesOf, openTestPlatform, type TestPlatform } from '../../support/platform.ts';

const BYTES = Buffer.from('the bytes that were accepted');
let bench: TestPlatform;
beforeEach(async () => {
  bench = await openTestPlatform({ JOB_ATTEMPTS: '3', RETRY_BASE_SECONDS: '10', LEASE_SECONDS: '30' });
});
afterEach(() => bench.close());

const jobOf = (upload: Upload): Job => ({ id: bench.platform.newId(), kind: 'relay', uploadId: upload.id, trace: upload.trace });
const find = async (id: string): Promise<Upload> => (await bench.platform.uploads.find(id)) as Upload;
const spooledAt = ({ tenant, id }: Upload): string => diskKeyOf('spool', tenant, id);
const storedAt = ({ tenant, id }: Upload): string => keyOf('files', tenant, id);

function relayWith(changes: { store?: Partial<ObjectStore>; clock?: () => number; node?: string } = {}): RelayJob {
  const { platform, ledger } = bench;
  const store = new Proxy(platform.store, {
    get: (target, name) => Reflect.get(changes.store ?? {}, name) ?? Reflect.get(target, name),
  });
  const { node } = changes;
  const disks = node
    ? new ServersDisks({ ...platform, node, spoolIsShared: false, directIsShared: false, listed: [], secret: undefined })
    : platform.disks;
  return new RelayJob({ ...platform, disks, clock: changes.clock ?? platform.clock, store, ledger });
}
const run = (relay: RelayJob, upload: Upload, signal = new AbortController().signal) => relay.run(jobOf(upload), { signal });
const away = (): Promise<never> => Promise.reject(new WindlassError('store_unavailable', 'The store does not answer.'));

test('an accepted upload ends up in the store with its bytes, and leaves the spool', async () => {
  const upload = await acceptRelay(bench, BYTES);
  expect(await run(relayWith(), upload)).toEqual({ outcome: 'done' });
  const key = storedAt(upload);
  expect(await find(upload.id)).toMatchObject({
    state: 'stored',
    attempts: 1,
    error: null,
    lease: null,
    location: { store: 'disk', bucket: bench.platform.store.bucket, key, node: null },
  });
  expect(await bytesOf(await bench.platform.store.read(key))).toEqual(BYTES);
  expect(await bench.platform.spool.stat(spooledAt(upload))).toBeNull();
});

test('the same job again, and a job of an upload that is gone, are done without work', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await run(relayWith(), upload);
  const { version } = await find(upload.id);
  expect(await run(relayWith(), upload)).toEqual({ outcome: 'done' });
  expect((await find(upload.id)).version).toBe(version);
  expect(await run(relayWith(), { ...upload, id: bench.platform.newId() })).toEqual({ outcome: 'done' });
});

test('while the store is away the upload waits longer and longer, and says why', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const relay = relayWith({ store: { put: away } });
  expect(await run(relay, upload)).toEqual({ outcome: 'retry', delayMs: 10_000 });
  expect(await find(upload.id)).toMatchObject({ state: 'queued', attempts: 1, error: { code: 'store_unavailable' }, lease: null });
  expect(await run(relay, upload)).toEqual({ outcome: 'retry', delayMs: 20_000 });
  expect(await run(relayWith(), upload)).toEqual({ outcome: 'done' });
  expect(await find(upload.id)).toMatchObject({ state: 'stored', attempts: 3, error: null });
});

test('after the last try the upload has failed, and its bytes stay in the spool', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const relay = relayWith({ store: { put: away } });
  await run(relay, upload);
  await run(relay, upload);
  expect(await run(relay, upload)).toEqual({ outcome: 'dead', reason: 'store_unavailable' });
  expect(await find(upload.id)).toMatchObject({ state: 'failed', attempts: 3, error: { code: 'store_unavailable' } });
  expect(await bench.platform.spool.stat(spooledAt(upload))).not.toBeNull();
});

test('bytes that are missing from the spool cannot come back: failed at once', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await bench.platform.spool.remove(spooledAt(upload));
  expect(await run(relayWith(), upload)).toEqual({ outcome: 'dead', reason: 'bytes_missing' });
  expect(await find(upload.id)).toMatchObject({ state: 'failed', attempts: 1, error: { code: 'bytes_missing' } });
});

test('bytes that rotted in the spool never reach the store: failed at once', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await writeFile(join(bench.platform.config.SPOOL_DIR, spooledAt(upload)), Buffer.alloc(BYTES.length, 'x'));
  expect(await run(relayWith(), upload)).toEqual({ outcome: 'dead', reason: 'digest_mismatch' });
  expect((await find(upload.id)).state).toBe('failed');
  expect(await bench.platform.store.head(storedAt(upload))).toBeNull();
});

test.each([null, 7])('a store that confirms the object but then has %s bytes of it is not believed', async (size) => {
  const upload = await acceptRelay(bench, BYTES);
  const info = { contentType: null, etag: 'e', sha256: null, modifiedAt: 0 };
  const relay = relayWith({
    store: {
      put: async (key, source) => ({ ...info, key, size: source.size }),
      head: async (key) => (size === null ? null : { ...info, key, size }),
    },
  });
  expect(await run(relay, upload)).toMatchObject({ outcome: 'retry' });
  expect(await find(upload.id)).toMatchObject({ state: 'queued', error: { code: 'store_unavailable' } });
  expect(await bench.platform.spool.stat(spooledAt(upload))).not.toBeNull();
});

test('a store that has hashed the bytes itself is not asked again', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const { put } = bench.platform.store;
  const hashing: ObjectStore['put'] = async (key, source) => ({
    ...(await put.call(bench.platform.store, key, source)),
    sha256: source.sha256,
  });
  expect(await run(relayWith({ store: { put: hashing, head: away } }), upload)).toEqual({ outcome: 'done' });
  expect((await find(upload.id)).state).toBe('stored');
});

test('a file in the spool that is not as long as it was is no fault of the store: failed at once', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await writeFile(join(bench.platform.config.SPOOL_DIR, spooledAt(upload)), 'short');
  expect(await run(relayWith(), upload)).toEqual({ outcome: 'dead', reason: 'bytes_missing' });
  expect(await bench.platform.store.head(storedAt(upload))).toBeNull();
});

test('an upload that took each of its workers down is given up without another try', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const { uploads } = bench.platform;
  const lost = { token: 'lost', expiresAt: 0 };
  await uploads.apply({ id: upload.id, version: 1, set: { state: 'relaying', attempts: 3, lease: lost, updatedAt: 0 }, emit: [] });
  expect(await run(relayWith(), upload)).toMatchObject({ outcome: 'dead' });
  expect((await find(upload.id)).state).toBe('failed');
});

test('while somebody else works on it a job waits until that lease can have ended, at no cost', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const lease = { token: 'other', expiresAt: Date.now() + 20_000 };
  await bench.ledger.transition(upload, 'relaying', { lease, attempts: 1 });
  const settlement = await run(relayWith(), upload);
  expect(settlement).toMatchObject({ outcome: 'retry' });
  expect((settlement as { delayMs: number }).delayMs).toBeGreaterThan(15_000);
  expect(await find(upload.id)).toMatchObject({ state: 'relaying', attempts: 1, lease });
});

test('the spool of a server that cannot be reached costs the upload no try', async () => {
  const upload = await acceptRelay(bench, BYTES);
  expect(await run(relayWith({ node: 'another' }), upload)).toEqual({ outcome: 'retry', delayMs: 30_000 });
  expect(await find(upload.id)).toMatchObject({ state: 'queued', attempts: 0 });
});

test('a worker that stalls past its lease cannot commit over the one that took over', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const stalling = (clock?: () => number) => {
    const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const put: ObjectStore['put'] = async (key, source) => {
      begun.resolve();
      await goOn.promise;
      return bench.platform.store.put(key, source);
    };
    return { settled: run(relayWith({ store: { put }, ...(clock ? { clock } : {}) }), upload), begun: begun.promise, goOn: goOn.resolve };
  };
  const first = stalling();
  await first.begun;
  // To the second worker it is a minute later, so that the first one's lease of 30 s has ended.
  const second = stalling(() => Date.now() + 60_000);
  await second.begun;
  const taken = await find(upload.id);
  first.goOn();
  expect(await first.settled).toEqual({ outcome: 'done' });
  expect(await find(upload.id)).toEqual(taken);
  expect(taken).toMatchObject({ state: 'relaying', attempts: 2 });
  second.goOn();
  expect(await second.settled).toEqual({ outcome: 'done' });
  expect(await find(upload.id)).toMatchObject({ state: 'stored', attempts: 2 });
  expect(await bytesOf(await bench.platform.store.read(storedAt(upload)))).toEqual(BYTES);
});

test('an upload deleted while it is relayed leaves nothing in the store', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const relay = relayWith({
    store: {
      async put(key, source) {
        const info = await bench.platform.store.put(key, source);
        await new Deletion({ ...bench.platform, ledger: bench.ledger }).delete(upload.id);
        return info;
      },
    },
  });
  expect(await run(relay, upload)).toEqual({ outcome: 'done' });
  expect((await find(upload.id)).state).toBe('deleted');
  expect(await bench.platform.store.head(storedAt(upload))).toBeNull();
  expect(await bench.platform.spool.stat(spooledAt(upload))).toBeNull();
});

test('linking the upload to a resource while it is relayed does not cost the worker its commit', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const relay = relayWith({
    store: {
      async put(key, source) {
        await bench.ledger.amend(await find(upload.id), { resource: { type: 'post', id: '42' } });
        return bench.platform.store.put(key, source);
      },
    },
  });
  expect(await run(relay, upload)).toEqual({ outcome: 'done' });
  expect(await find(upload.id)).toMatchObject({ state: 'stored', resource: { type: 'post', id: '42' } });
});

test('a worker that is stopped hands its upload back without using up a try', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const stop = new AbortController();
  const relay = relayWith({
    store: {
      put: (_key, _source, signal) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason));
          stop.abort(new Error('stopping'));
        }),
    },
  });
  expect(await run(relay, upload, stop.signal)).toEqual({ outcome: 'retry', delayMs: 0 });
  expect(await find(upload.id)).toMatchObject({ state: 'queued', attempts: 0, error: null });
});

test('a commit whose answer was lost is found out and cleaned up after', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const { platform } = bench;
  let lost = false;
  const apply: typeof platform.uploads.apply = async (change) => {
    const applied = await platform.uploads.apply(change);
    if (change.set.state !== 'stored' || lost) return applied;
    lost = true;
    throw new WindlassError('repository_unavailable', 'No answer in time.');
  };
  const uploads = new Proxy(platform.uploads, {
    get(target, name) {
      const member = Reflect.get(target, name);
      return name === 'apply' ? apply : typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const { Ledger } = await import('../../../src/ledger.ts');
  const parts = { ...platform, uploads };
  const relay = new RelayJob({ ...parts, ledger: new Ledger(parts, () => undefined) });
  expect(await run(relay, upload)).toEqual({ outcome: 'done' });
  expect((await find(upload.id)).state).toBe('stored');
  expect(await platform.spool.stat(spooledAt(upload))).toBeNull();
});

test('a spooled file that cannot be removed does not make the upload less stored', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const { platform, ledger } = bench;
  const spool = new Proxy(platform.spool, {
    get(target, name) {
      if (name === 'remove') return () => Promise.reject(Object.assign(new Error('read-only'), { code: 'EROFS' }));
      const member = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  expect(await run(new RelayJob({ ...platform, disks: { ...platform.disks, spoolOf: () => spool }, ledger }), upload)).toEqual({
    outcome: 'done',
  });
  expect((await find(upload.id)).state).toBe('stored');
  await rm(join(platform.config.SPOOL_DIR, spooledAt(upload)));
});
