import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { backupKeyOf } from '../../../src/core/keys.ts';
import { dueBackup, type Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import type { Job } from '../../../src/ports/job-queue.ts';
import type { ObjectStore } from '../../../src/ports/object-store.ts';
import { BackupJob } from '../../../src/relay/backup-job.ts';
import { Deletion } from '../../../src/strategies/deletion.ts';
import { Redrive } from '../../../src/strategies/redrive.ts';
import { bytesOf } from '../../support/platform.ts';
import { ServersRig } from '../rebalance/servers-rig.ts';

const BYTES = Buffer.from('the bytes of a file');
const never = new AbortController().signal;
let rig: ServersRig;
beforeEach(async () => {
  rig = await ServersRig.open(['api-0', 'api-1'], { JOB_ATTEMPTS: '3', RETRY_BASE_SECONDS: '10', LEASE_SECONDS: '30' });
});
afterEach(() => rig.close());

const put = (node = 'api-1'): Promise<Upload> => rig.put(node, BYTES, { backup: dueBackup(rig.now) });
const jobOf = ({ id, trace }: Upload): Job => ({ id: rig.platform.newId(), kind: 'backup', uploadId: id, trace });

function backupWith(store: Partial<ObjectStore> = {}): BackupJob {
  const changed = new Proxy(rig.platform.store, { get: (target, name) => Reflect.get(store, name) ?? Reflect.get(target, name) });
  return new BackupJob({ ...rig.platform, store: changed, ledger: rig.test.ledger });
}
const run = (upload: Upload, backup = backupWith(), signal = never) => backup.run(jobOf(upload), { signal });
const away = (): Promise<never> => Promise.reject(new WindlassError('store_unavailable', 'The store does not answer.'));
const copyOf = async (upload: Upload): Promise<Buffer | null> => bytesOf(await rig.platform.store.read(backupKeyOf(upload)));

test('a record that wants a backup asks for the job in the same write, and stays stored', async () => {
  const upload = await put();
  expect(upload.state).toBe('stored');
  expect(upload.outbox).toMatchObject([
    { kind: 'job', job: 'backup' },
    { kind: 'event', type: 'upload.stored' },
  ]);
  expect((await rig.put('api-1', BYTES)).outbox).toMatchObject([{ kind: 'event' }]);
});

test('the file of another server is copied, stays where it is, and the record says where the copy is', async () => {
  const upload = await put();
  expect(await run(upload)).toEqual({ outcome: 'done' });
  const backed = await rig.find(upload.id);
  expect(backed).toMatchObject({ state: 'stored', attempts: 0, lease: null, location: upload.location, history: upload.history });
  expect(backed.backup).toMatchObject({ state: 'made', store: 'disk', key: backupKeyOf(upload) });
  expect(await copyOf(upload)).toEqual(BYTES);
  expect((await rig.filesOn('api-1')).length).toBe(1);
  expect(await run(upload)).toEqual({ outcome: 'done' });
  expect((await rig.find(upload.id)).version).toBe(backed.version);
});

test('while the store is away the copy waits longer and longer; after the last try it is given up, until somebody asks again', async () => {
  const upload = await put();
  const failing = backupWith({ put: away });
  expect(await run(upload, failing)).toEqual({ outcome: 'retry', delayMs: 10_000 });
  expect(await run(upload, failing)).toEqual({ outcome: 'retry', delayMs: 20_000 });
  expect(await run(upload, failing)).toEqual({ outcome: 'dead', reason: 'store_unavailable' });
  expect(await rig.find(upload.id)).toMatchObject({ state: 'stored', error: null, backup: { state: 'failed', attempts: 3 } });
  const again = await new Redrive({ ...rig.platform, ledger: rig.test.ledger }).redrive(upload.id);
  expect(again.outbox.at(-1)).toMatchObject({ kind: 'job', job: 'backup' });
  expect(await run(upload)).toEqual({ outcome: 'done' });
  expect(await copyOf(upload)).toEqual(BYTES);
});

test('a server that is away costs no try', async () => {
  const upload = await put();
  rig.away.add('api-1');
  expect(await run(upload)).toEqual({ outcome: 'retry', delayMs: 30_000 });
  expect((await rig.find(upload.id)).backup).toMatchObject({ state: 'due', attempts: 0 });
});

test('bytes that are gone or have rotted never become a backup: given up at once', async () => {
  const [gone, rotten] = [await put(), await put()];
  await rig.diskOf('api-1').remove(gone.location?.key ?? '');
  await writeFile(join(rig.test.dir, 'disks', 'api-1', rotten.location?.key ?? ''), Buffer.alloc(BYTES.length, 'x'));
  expect(await run(gone)).toEqual({ outcome: 'dead', reason: 'bytes_missing' });
  expect(await run(rotten)).toEqual({ outcome: 'dead', reason: 'digest_mismatch' });
  expect(await copyOf(rotten)).toBeNull();
});

test.each([null, 7])('a store that confirms the copy but then has %s bytes of it is not believed', async (size) => {
  const upload = await put();
  const info = { contentType: null, etag: 'e', sha256: null, modifiedAt: 0 };
  const lying = backupWith({
    put: async (key, source) => ({ ...info, key, size: source.size }),
    head: async (key) => (size === null ? null : { ...info, key, size }),
  });
  expect(await run(upload, lying)).toMatchObject({ outcome: 'retry' });
  expect((await rig.find(upload.id)).backup?.state).toBe('due');
});

test('while somebody else works on it a job waits; a worker that stalled past its lease cannot commit over the next one', async () => {
  const upload = await put();
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const stalling = backupWith({
    put: async (key, source) => {
      begun.resolve();
      await goOn.promise;
      return rig.platform.store.put(key, source);
    },
  });
  const first = run(upload, stalling);
  await begun.promise;
  expect(await run(upload)).toMatchObject({ outcome: 'retry' });
  rig.now += 60_000;
  expect(await run(upload)).toEqual({ outcome: 'done' });
  const { version } = await rig.find(upload.id);
  goOn.resolve();
  expect(await first).toEqual({ outcome: 'done' });
  expect((await rig.find(upload.id)).version).toBe(version);
});

test('a file that moves while it is copied is found where it is then', async () => {
  const upload = await put('api-0');
  let moved = false;
  rig.onUse = async (node, method) => {
    if (moved || node !== 'api-0' || method !== 'read') return;
    moved = true;
    // Its own claim has been given up: the mover sees an upload that nobody works on.
    const current = await rig.find(upload.id);
    await rm(join(rig.test.dir, 'disks', 'api-0', current.location?.key ?? ''));
    const key = `${current.location?.key}~aaaaaaaaaaaa`;
    const file = await rig.diskOf('api-1').create(key, BYTES.length);
    await file.write([BYTES]);
    await file.commit();
    await rig.test.ledger.amend(current, { location: { store: 'disk', bucket: null, key, node: 'api-1' } });
  };
  expect(await run(upload)).toEqual({ outcome: 'done' });
  expect(await copyOf(upload)).toEqual(BYTES);
});

test('an upload that is deleted meanwhile leaves no copy, and takes one that is there along', async () => {
  const upload = await put();
  const deletion = new Deletion({ ...rig.platform, ledger: rig.test.ledger });
  const late = backupWith({
    put: async (key, source) => {
      await deletion.delete(upload.id);
      return rig.platform.store.put(key, source);
    },
  });
  expect(await run(upload, late)).toEqual({ outcome: 'done' });
  expect(await copyOf(upload)).toBeNull();
  const other = await put();
  await run(other);
  rig.away.add('api-1');
  await deletion.delete(other.id);
  expect(await copyOf(other)).toBeNull();
});

test('a worker that is stopped hands the copy back at no cost', async () => {
  const upload = await put();
  const stopping = new AbortController();
  const stopped = backupWith({
    put: () => {
      stopping.abort(new Error('the worker is being stopped'));
      return Promise.reject(new Error('broken off'));
    },
  });
  expect(await run(upload, stopped, stopping.signal)).toEqual({ outcome: 'retry', delayMs: 0 });
  expect(await rig.find(upload.id)).toMatchObject({ lease: null, backup: { state: 'due', attempts: 0 } });
});
