import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { backupKeyOf, diskKeyOf, keyOf } from '../../../src/core/keys.ts';
import { dueBackup, type NewUpload, type Upload, type UploadState } from '../../../src/core/upload.ts';
import { Ledger } from '../../../src/ledger.ts';
import type { Platform } from '../../../src/platform.ts';
import type { Resource } from '../../../src/ports/resource-repository.ts';
import { type ReconcileOptions, type ReconcileReport, Reconciler } from '../../../src/reconcile/reconciler.ts';
import {
  acceptDirect,
  acceptRelay,
  newUpload,
  openTestPlatform,
  sha256,
  type TestPlatform,
  until,
  writeFileTo,
} from '../../support/platform.ts';

const BYTES = Buffer.from('some bytes');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const lease = { token: 'worker-1', expiresAt: 0 };

let bench: TestPlatform;
let finished: Resource[];
let reconciler: Reconciler;

beforeEach(async () => {
  bench = await openTestPlatform({ ORPHAN_GRACE_SECONDS: '3600', RECORD_RETENTION_SECONDS: '604800', FAILED_RETENTION_SECONDS: '604800' });
  finished = [];
  reconciler = reconcilerOf();
});
afterEach(() => bench.close());

function reconcilerOf(changes: Partial<Platform> = {}): Reconciler {
  const finishIntent = async (resource: Resource): Promise<void> => {
    finished.push(resource);
    if (resource.intent) await bench.platform.resources.settle(resource, resource.intent.revision);
  };
  return new Reconciler({ ...bench.platform, ...changes, ledger: bench.ledger, finishIntent });
}
async function run(later: number, options: ReconcileOptions = {}): Promise<ReconcileReport> {
  const report = await reconciler.run({ now: Date.now() + later, ...options });
  expect(report?.tasks.filter(({ error }) => error !== null)).toEqual([]);
  return report as ReconcileReport;
}
const find = (id: string) => bench.platform.uploads.find(id);
const stateOf = async (id: string): Promise<UploadState | undefined> => (await find(id))?.state;
const move = async (upload: Upload, to: UploadState, fields = {}): Promise<Upload> =>
  (await bench.ledger.transition(upload, to, fields)) as Upload;
const jobs = async (id: string): Promise<number> => (await find(id))?.outbox.filter(({ kind }) => kind === 'job').length ?? 0;

/** As the dispatcher leaves the record: everything published. */
async function published(upload: Upload): Promise<Upload> {
  await bench.platform.uploads.removeMessages(
    upload.id,
    upload.outbox.map(({ id }) => id),
  );
  return (await find(upload.id)) as Upload;
}

async function putObject(key: string, bytes = BYTES): Promise<void> {
  const source = {
    size: bytes.length,
    contentType: 'image/jpeg',
    sha256: sha256(bytes),
    open: async () => Readable.from([Buffer.from(bytes)]),
  };
  await bench.platform.store.put(key, source);
}
const isThere = async (key: string): Promise<boolean> => (await bench.platform.store.head(key)) !== null;

async function presigned(fields: Partial<NewUpload> = {}, linkExpiresAt = Date.now() + HOUR): Promise<Upload> {
  const upload = newUpload(bench.platform, BYTES, { strategy: 'presign', expiresAt: Date.now() + HOUR, ...fields });
  const key = keyOf('staging', upload.tenant, upload.id);
  await putObject(key);
  const staging = { key, method: 'PUT' as const, multipartId: null, partSize: null, partCount: null, linkExpiresAt };
  return bench.ledger.create({ staging, ...upload });
}

async function storedObject(): Promise<Upload> {
  const upload = await published(await acceptRelay(bench, BYTES));
  const key = keyOf('files', upload.tenant, upload.id);
  await putObject(key);
  const { name, bucket } = bench.platform.store;
  const stored = await move(await move(upload, 'relaying', { lease }), 'stored', { location: { store: name, bucket, key, node: null } });
  await bench.platform.spool.remove(upload.spool?.key ?? '');
  return stored;
}

describe('records', () => {
  test('a presigned upload that was not completed in time lapses, with what was uploaded for it', async () => {
    const upload = await presigned();
    await run(HOUR / 2);
    expect(await stateOf(upload.id)).toBe('pending');
    const { found, removed } = await run(HOUR + 1000);
    expect([found.record, removed.record]).toEqual([1, 1]);
    expect(await stateOf(upload.id)).toBe('expired');
    expect(await isThere(upload.staging?.key ?? '')).toBe(false);
  });

  test('an upload that has been queued for very long gets another job, ever more rarely', async () => {
    const { id } = await published(await acceptRelay(bench, BYTES));
    const begin = Date.now();
    const asked: number[] = [];
    for (let minutes = 5; minutes <= 24 * 60; minutes += 5) {
      const clock = (): number => begin + minutes * 60_000;
      const ledger = new Ledger({ ...bench.platform, clock }, () => undefined);
      await new Reconciler({ ...bench.platform, clock, ledger, finishIntent: async () => undefined }).run();
      if ((await jobs(id)) === 0) continue;
      asked.push(minutes);
      await published((await find(id)) as Upload);
    }
    expect(asked[0]).toBeGreaterThanOrEqual(10);
    for (const [index, minutes] of asked.entries()) expect(minutes).toBeGreaterThanOrEqual(2 * (asked[index - 1] ?? 0));
    expect(asked).toHaveLength(7);
  });

  test('a job that waits in the record is not asked for once more', async () => {
    const { id } = await acceptRelay(bench, BYTES);
    await run(DAY);
    expect(await jobs(id)).toBe(1);
  });

  test('an upload whose worker is gone gets another job; one that is worked on does not', async () => {
    const abandoned = await published(
      await move(await published(await acceptRelay(bench, BYTES)), 'relaying', { lease: { ...lease, expiresAt: Date.now() } }),
    );
    const worked = await published(
      await move(await published(await acceptRelay(bench, BYTES)), 'relaying', { lease: { ...lease, expiresAt: Date.now() + DAY } }),
    );
    const verifying = await published(await move(await presigned({ expiresAt: null }), 'verifying', { lease }));
    await run(2 * 60_000);
    expect((await find(abandoned.id))?.outbox).toMatchObject([{ kind: 'job', job: 'relay' }]);
    expect((await find(verifying.id))?.outbox).toMatchObject([{ kind: 'job', job: 'complete' }]);
    expect(await jobs(worked.id)).toBe(0);
    expect((await find(abandoned.id))?.lease?.token).toBe('worker-1');
  });

  test('links that a crash left unwritten are finished', async () => {
    const key = { tenant: 'acme', type: 'post', id: '42' };
    const intent = { revision: 1, uploads: [], previous: [] };
    const at = Date.now();
    await bench.platform.resources.replace({ ...key, attributes: {}, revision: 1, intent, createdAt: at, updatedAt: at }, 0);
    await run(1000);
    expect(finished).toEqual([]);
    await run(2 * 60_000);
    expect(finished).toMatchObject([key]);
    expect((await bench.platform.resources.find(key))?.intent).toBeNull();
  });

  test('a failed upload keeps its bytes for another try, but not for ever', async () => {
    const failed = await move(await published(await acceptRelay(bench, BYTES)), 'failed');
    const spooled = failed.spool?.key ?? '';
    await run(DAY);
    expect(await bench.platform.spool.stat(spooled)).not.toBeNull();
    await run(8 * DAY);
    expect(await stateOf(failed.id)).toBe('deleted');
    expect(await bench.platform.spool.stat(spooled)).toBeNull();
  });

  test('the record of a deleted upload is kept for a while, then forgotten with what was left of it', async () => {
    const upload = await storedObject();
    await move(upload, 'deleted');
    await run(HOUR / 2);
    expect(await stateOf(upload.id)).toBe('deleted');
    await run(8 * DAY);
    expect(await find(upload.id)).toBeNull();
    expect(await isThere(upload.location?.key ?? '')).toBe(false);
  });
});

describe('bytes that no record owns', () => {
  test('a file younger than the grace period may still get its record, an older one goes', async () => {
    const { spool, direct, newId } = bench.platform;
    const id = newId();
    const [spooled, file] = [diskKeyOf('spool', 'acme', id), keyOf('files', 'acme', id)];
    await writeFileTo(spool, spooled, BYTES);
    await writeFileTo(direct, file, BYTES);
    await putObject(file);
    expect((await run(HOUR / 2)).found).toMatchObject({ spool: 0, direct: 0, object: 0 });
    expect((await run(2 * HOUR)).removed).toMatchObject({ spool: 1, direct: 1, object: 1 });
    expect([await spool.stat(spooled), await direct.stat(file), await isThere(file)]).toEqual([null, null, false]);
    expect((await run(2 * HOUR)).found).toMatchObject({ spool: 0, direct: 0, object: 0 });
  });

  test('only a file without a record is asked when it was written, and one that was written again stays', async () => {
    const { direct, newId } = bench.platform;
    const owned = await acceptDirect(bench, BYTES);
    const [old, again] = [newId(), newId()].map((id) => diskKeyOf('files', 'acme', id));
    for (const key of [old, again]) await writeFileTo(direct, key as string, BYTES);
    const later = new Date(Date.now() + 2 * HOUR);
    await utimes(join(bench.platform.config.DIRECT_DIR, again as string), later, later);
    const asked: string[] = [];
    const watched = new Proxy(direct, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        return (key: string, ...rest: unknown[]) => {
          if (name === 'stat') asked.push(key);
          return member.call(target, key, ...rest);
        };
      },
    });
    reconciler = reconcilerOf({ direct: watched });
    await run(HOUR / 2);
    expect(asked).toEqual([]);
    const { removed } = await run(2 * HOUR);
    expect(removed).toMatchObject({ direct: 1 });
    expect(asked).not.toContain(owned.location?.key);
    expect([await direct.stat(old as string), await direct.stat(again as string)]).toEqual([null, expect.anything()]);
  });

  test('what records own stays, however old it is', async () => {
    const waiting = await acceptRelay(bench, BYTES);
    const failed = await move(await acceptRelay(bench, BYTES), 'failed');
    const direct = await acceptDirect(bench, BYTES);
    const stored = await storedObject();
    const relaying = await move(await acceptRelay(bench, BYTES), 'relaying', { lease });
    await putObject(keyOf('files', 'acme', relaying.id));
    const { removed } = await run(2 * DAY);
    expect(removed).toMatchObject({ spool: 0, direct: 0, object: 0, staging: 0, multipart: 0 });
    for (const { spool } of [waiting, failed, relaying]) expect(await bench.platform.spool.stat(spool?.key ?? '')).not.toBeNull();
    expect(await bench.platform.direct.stat(direct.location?.key ?? '')).not.toBeNull();
    expect(await isThere(stored.location?.key ?? '')).toBe(true);
  });

  test('what a deletion or a relay could not remove at the time is removed later', async () => {
    const direct = await acceptDirect(bench, BYTES);
    await move(direct, 'deleted');
    const gone = await storedObject();
    await move(gone, 'deleted');
    const stored = await storedObject();
    const spooled = stored.spool?.key ?? '';
    await writeFileTo(bench.platform.spool, spooled, BYTES);
    expect((await run(2 * HOUR)).removed).toMatchObject({ spool: 1, direct: 1, object: 1 });
    expect(await isThere(stored.location?.key ?? '')).toBe(true);
  });

  test('what a late PUT leaves in staging goes once its link cannot work any more', async () => {
    const upload = await presigned({}, Date.now() + 2 * HOUR);
    await move(await move(upload, 'verifying', { lease }), 'failed');
    const key = upload.staging?.key ?? '';
    await run(2.5 * HOUR);
    expect(await isThere(key)).toBe(true);
    expect((await run(3.5 * HOUR)).removed.staging).toBe(1);
    expect(await isThere(key)).toBe(false);
  });

  test('parts of an upload that nobody will complete are thrown away, those of a pending one stay', async () => {
    const { store, newId } = bench.platform;
    const forgotten = keyOf('staging', 'acme', newId());
    const forgottenId = await store.createMultipart(forgotten, 'video/mp4');
    const upload = newUpload(bench.platform, BYTES, { strategy: 'presign', expiresAt: Date.now() + DAY });
    const key = keyOf('staging', 'acme', upload.id);
    const multipartId = await store.createMultipart(key, 'video/mp4');
    const duplicate = await store.createMultipart(key, 'video/mp4');
    const staging = { key, method: 'multipart' as const, multipartId, partSize: 5, partCount: 2, linkExpiresAt: Date.now() + DAY };
    await bench.ledger.create({ ...upload, staging });
    expect((await run(HOUR / 2)).found.multipart).toBe(0);
    expect((await run(2 * HOUR)).removed.multipart).toBe(2);
    expect(await store.listParts(forgotten, forgottenId)).toBeNull();
    expect(await store.listParts(key, duplicate)).toBeNull();
    expect(await store.listParts(key, multipartId)).toEqual([]);
  });

  test('the parts of an object that a worker began to put together stay as long as its upload is on its way', async () => {
    const { store } = bench.platform;
    const upload = await acceptRelay(bench, BYTES);
    const under = keyOf('files', upload.tenant, upload.id);
    await store.createMultipart(under, 'video/mp4');
    expect((await run(2 * HOUR)).removed.multipart).toBe(0);
    await move(upload, 'failed');
    expect((await run(2 * HOUR)).removed.multipart).toBe(1);
  });

  test('half-written files of a process that died are removed', async () => {
    const folder = join(bench.platform.config.SPOOL_DIR, '.unfinished');
    await writeFileTo(bench.platform.spool, diskKeyOf('spool', 'acme', bench.platform.newId()), BYTES);
    await writeFile(join(folder, 'left-behind'), 'half of a fi');
    expect((await run(HOUR / 2)).found.unfinished).toBe(0);
    expect((await run(2 * HOUR)).removed.unfinished).toBe(1);
  });

  test('files that Windlass did not make are told of and left alone', async () => {
    await writeFileTo(bench.platform.direct, 'holiday/photo.jpg', BYTES);
    await putObject('files/readme.txt');
    const report = await run(30 * DAY);
    expect(report.foreign.sort()).toEqual(['direct: holiday/photo.jpg', 'object: files/readme.txt']);
    expect(report.removed).toMatchObject({ direct: 0, object: 0 });
    expect(await bench.platform.direct.stat('holiday/photo.jpg')).not.toBeNull();
  });
});

describe('the other direction', () => {
  test('a stored upload without its bytes is told of, and nothing is changed', async () => {
    const [lost, direct] = [await storedObject(), await acceptDirect(bench, BYTES)];
    await storedObject();
    await bench.platform.store.remove(lost.location?.key ?? '');
    await bench.platform.direct.remove(direct.location?.key ?? '');
    const { found, removed } = await run(0);
    expect([found.missing_bytes, removed.missing_bytes]).toEqual([2, 0]);
    expect(await find(lost.id)).toMatchObject({ state: 'stored', version: lost.version });
  });
});

describe('the run itself', () => {
  test('a dry run finds the same and changes nothing', async () => {
    const [id, later] = [bench.platform.newId(), 9 * DAY];
    await writeFileTo(bench.platform.spool, diskKeyOf('spool', 'acme', id), BYTES);
    await putObject(keyOf('files', 'acme', id));
    await bench.platform.store.createMultipart(keyOf('staging', 'acme', id), 'video/mp4');
    const pending = await presigned();
    const queued = await published(await acceptRelay(bench, BYTES));
    const failed = await move(await published(await acceptRelay(bench, BYTES)), 'failed');
    const dry = await run(later, { dryRun: true });
    expect(dry.found).toMatchObject({ record: 3, spool: 1, object: 1, multipart: 1 });
    expect(Object.values(dry.removed).every((count) => count === 0)).toBe(true);
    for (const upload of [pending, queued, failed]) expect((await find(upload.id))?.version).toBe(upload.version);
    expect((await run(later, { dryRun: true })).found).toEqual(dry.found);
    expect((await run(later)).removed).toMatchObject({ record: 3, spool: 1, object: 1, multipart: 1 });
  });

  test('only one runs at a time, and the next one after it', async () => {
    const other = bench.platform.leases;
    expect(await other.acquire('reconciler', 'another process', Date.now(), Date.now() + HOUR)).toBe(true);
    const disks = await reconciler.run();
    expect(disks?.tasks.map(({ task }) => task)).toEqual(['remove unfinished files', 'remove spooled files', 'remove direct files']);
    expect(await other.acquire('reconciler of local', 'another process', Date.now(), Date.now() + HOUR)).toBe(true);
    expect(await reconciler.run()).toBeNull();
    await other.release('reconciler of local', 'another process');
    await other.release('reconciler', 'another process');
    expect((await reconciler.run({ disksOnly: true }))?.tasks).toHaveLength(3);
    expect(await reconciler.run()).not.toBeNull();
    expect(await reconciler.run()).not.toBeNull();
  });

  test('a store that is away keeps it from nothing else', async () => {
    const store = new Proxy(bench.platform.store, {
      get(target, name) {
        if (name === 'list')
          return () => {
            throw Object.assign(new Error('away'), { code: 'store_unavailable' });
          };
        const member = Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    await writeFileTo(bench.platform.spool, diskKeyOf('spool', 'acme', bench.platform.newId()), BYTES);
    await bench.platform.store.createMultipart(keyOf('staging', 'acme', bench.platform.newId()), 'video/mp4');
    const report = await reconcilerOf({ store }).run({ now: Date.now() + 2 * HOUR });
    expect(report?.removed).toMatchObject({ spool: 1, multipart: 1 });
    expect(report?.tasks.filter(({ error }) => error === 'away').map(({ task }) => task)).toEqual([
      'remove objects',
      'remove backups',
      'remove staged objects',
    ]);
  });

  test('what it finds and removes is counted for the operator', async () => {
    await writeFileTo(bench.platform.spool, diskKeyOf('spool', 'acme', bench.platform.newId()), BYTES);
    await run(2 * HOUR);
    const text = await bench.platform.metrics.registry.metrics();
    expect(text).toContain('windlass_orphans_found_total{kind="spool"} 1');
    expect(text).toContain('windlass_orphans_removed_total{kind="spool"} 1');
  });

  test('once started it runs by itself until it is stopped; an interval of 0 leaves it to the command', async () => {
    const spooled = diskKeyOf('spool', 'acme', bench.platform.newId());
    await writeFileTo(bench.platform.spool, spooled, BYTES);
    const clock = (): number => Date.now() + 2 * HOUR;
    const off = reconcilerOf({ clock, config: { ...bench.platform.config, RECONCILE_INTERVAL_SECONDS: 0 } });
    off.start();
    await off.stop();
    const on = reconcilerOf({ clock, config: { ...bench.platform.config, RECONCILE_INTERVAL_SECONDS: 1 } });
    on.start();
    await until(async () => (await bench.platform.spool.stat(spooled)) === null);
    await on.stop();
  });
});

describe('backups', () => {
  const due = async (): Promise<Upload> => published(await acceptDirect(bench, BYTES, { backup: dueBackup(Date.now()) }));
  const putBackup = (upload: Upload): Promise<unknown> =>
    bench.platform.store.put(backupKeyOf(upload), {
      size: BYTES.length,
      contentType: 'text/plain',
      sha256: sha256(BYTES),
      open: async () => Readable.from([Buffer.from(BYTES)]),
    });

  test('whose job may be lost are asked for again, ever more rarely', async () => {
    const upload = await due();
    await run(60_000);
    expect(await jobs(upload.id)).toBe(0);
    await run(HOUR);
    expect(await jobs(upload.id)).toBe(1);
    await run(HOUR);
    expect(await jobs(upload.id)).toBe(1);
  });

  test('without a record that wants them are removed, others never', async () => {
    const [kept, deleted] = [await due(), await due()];
    await putBackup(kept);
    await putBackup(deleted);
    await move(deleted, 'deleted');
    const report = await run(2 * HOUR);
    expect(report.removed.backup).toBe(1);
    expect(await bench.platform.store.head(backupKeyOf(kept))).not.toBeNull();
    expect(await bench.platform.store.head(backupKeyOf(deleted))).toBeNull();
  });
});
