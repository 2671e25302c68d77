import { createHash } from 'node:crypto';
import { link, mkdir, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { LocalDisk, type LocalDiskOptions } from '../../../../../src/adapters/disk/local-disk.ts';
import { Sidecars } from '../../../../../src/adapters/object-store/disk/sidecars.ts';
import { DiskObjectStore } from '../../../../../src/adapters/object-store/disk/store.ts';
import { keyOf } from '../../../../../src/core/keys.ts';
import type { ObjectSource } from '../../../../../src/ports/object-store.ts';

const KEY = keyOf('staging', 'acme', '01993e6c-7d1e-7c3a-9b0a-000000000001');
const TO = keyOf('files', 'acme', '01993e6c-7d1e-7c3a-9b0a-000000000001');

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'windlass-store-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const openStore = (options: Partial<LocalDiskOptions> = {}): DiskObjectStore =>
  new DiskObjectStore({ root, minFreeBytes: 0, newId: () => v7(), ...options, clock: Date.now });
const sourceOf = (text: string, overrides: Partial<ObjectSource> = {}): ObjectSource => ({
  size: text.length,
  contentType: 'text/plain',
  sha256: createHash('sha256').update(text).digest('hex'),
  open: async () => Readable.from([Buffer.from(text)]),
  ...overrides,
});
const part = (multipartId: string, partNumber: number, size: number) => ({ key: KEY, multipartId, partNumber, size });

test('a file that was changed behind the back of the store is an object of which nothing is known', async () => {
  const store = openStore();
  const { etag } = await store.put(KEY, sourceOf('hello'));
  await writeFile(join(root, 'objects', KEY), 'HELLO');
  const info = await store.head(KEY);
  expect(info).toMatchObject({ size: 5, contentType: null, sha256: null });
  expect(info?.etag).not.toBe(etag);
  expect(await store.freeze(KEY, TO, etag)).toBeNull();
  expect(await store.freeze(KEY, TO, info?.etag ?? '')).toMatchObject({ key: TO, contentType: null });
});

test('what was said of an object a moment ago is not read again, and is not taken for that of another', async () => {
  const store = openStore();
  const first = await store.put(KEY, sourceOf('hello'));
  await unlink(join(root, 'meta', KEY));
  expect(await store.head(KEY)).toEqual(first);
  const second = await store.put(KEY, sourceOf('HELLO', { contentType: 'text/css' }));
  await unlink(join(root, 'meta', KEY));
  expect(await store.head(KEY)).toEqual(second);
  expect(await openStore().head(KEY)).toMatchObject({ contentType: null, sha256: null });
  await store.remove(KEY);
  expect(await store.head(KEY)).toBeNull();
});

test('a sidecar that cannot be read is no sidecar', async () => {
  await openStore().put(KEY, sourceOf('hello'));
  await writeFile(join(root, 'meta', KEY), '{"entries": [');
  const store = openStore();
  expect(await store.head(KEY)).toMatchObject({ size: 5, contentType: null, sha256: null });
  expect(await store.put(KEY, sourceOf('hello'))).toMatchObject({ contentType: 'text/plain' });
});

test('an object whose replacement was announced, but never put in place, is still known', async () => {
  const store = openStore();
  const old = await store.put(KEY, sourceOf('old'));
  const sidecars = new Sidecars(new LocalDisk({ root, minFreeBytes: 0, newId: () => v7() }));
  await sidecars.announce(KEY, { etag: 'never-came', size: 5, contentType: 'text/html', sha256: 'x' }, old.etag);
  expect(await store.head(KEY)).toEqual(old);
  for (const text of ['new', 'newer']) await store.put(KEY, sourceOf(text));
  expect(JSON.parse(await readFile(join(root, 'meta', KEY), 'utf8')).entries).toHaveLength(2);
});

test('putting what is there already does not read it from its source', async () => {
  const store = openStore();
  const { etag } = await store.put(KEY, sourceOf('hello'));
  const again = sourceOf('hello', { open: () => Promise.reject(new Error('opened again')) });
  expect(await store.put(KEY, again)).toMatchObject({ etag });
});

test.each(['shorter', 'this is longer than was declared'])('a source of another length (%j) is digest_mismatch', async (text) => {
  const store = openStore();
  await expect(store.put(KEY, sourceOf(text, { size: 12 }))).rejects.toMatchObject({ code: 'digest_mismatch' });
  expect(await readdir(join(root, '.unfinished'))).toEqual([]);
});

test('a full disk is store_unavailable with a time to come back', async () => {
  const store = openStore({ minFreeBytes: Number.MAX_SAFE_INTEGER });
  await expect(store.put(KEY, sourceOf('hello'))).rejects.toMatchObject({ code: 'store_unavailable', retryAfter: expect.any(Number) });
  await expect(store.createMultipart(KEY, 'text/plain')).rejects.toMatchObject({ code: 'store_unavailable' });
});

test('an object that was let in is finished, though the disk has filled up meanwhile', async () => {
  let freeBytes = 1000;
  const store = openStore({ minFreeBytes: 500, measure: async () => ({ freeBytes, capacityBytes: 1000 }) });
  const object = await store.begin(KEY, { size: 5, contentType: 'text/plain', sha256: null });
  freeBytes = 0;
  await object.receive(Readable.from([Buffer.from('hello')]));
  expect(await object.commit()).toMatchObject({ size: 5 });
});

test('an object that is swapped while it is being frozen is not frozen', async () => {
  const swapping = openStore({
    hardLink: async (from, to) => {
      if (from.endsWith(KEY)) await openStore().put(KEY, sourceOf('swapped'));
      await link(from, to);
    },
  });
  const { etag } = await swapping.put(KEY, sourceOf('checked'));
  expect(await swapping.freeze(KEY, TO, etag)).toBeNull();
  expect(await swapping.head(TO)).toBeNull();
  expect(await readdir(join(root, '.unfinished'))).toEqual([]);
});

test('open multipart uploads and their parts survive a restart', async () => {
  const startedAt = Date.now();
  const multipartId = await openStore().createMultipart(KEY, 'video/mp4');
  await openStore().writePart(part(multipartId, 7, 5), () => Readable.from([Buffer.from('seven')]));
  const later = openStore();
  const found = [];
  for await (const entry of later.listMultiparts('staging/')) found.push(entry);
  expect(found).toMatchObject([{ key: KEY, multipartId }]);
  expect(found[0]?.startedAt).toBeGreaterThanOrEqual(startedAt);
  const parts = (await later.listParts(KEY, multipartId)) ?? [];
  expect(parts).toMatchObject([{ partNumber: 7, size: 5 }]);
  await later.completeMultipart(KEY, multipartId, parts);
  expect(await later.head(KEY)).toMatchObject({
    size: 5,
    contentType: 'video/mp4',
    sha256: createHash('sha256').update('seven').digest('hex'),
  });
});

test('a part whose bytes arrive while the upload ends is not kept', async () => {
  const store = openStore();
  const multipartId = await store.createMultipart(KEY, 'video/mp4');
  const body = async function* (): AsyncIterable<Buffer> {
    yield Buffer.from('on');
    await store.abortMultipart(KEY, multipartId);
    yield Buffer.from('e');
  };
  expect(await store.writePart(part(multipartId, 1, 3), body)).toBeNull();
  expect(await store.writePart(part(multipartId, 1, 3), body)).toBeNull();
  expect(await readdir(join(root, 'multipart'))).toEqual([]);
  expect(await readdir(join(root, '.unfinished'))).toEqual([]);
});

test('a multipart upload belongs to its key, and ids from outside lead nowhere', async () => {
  const store = openStore();
  const multipartId = await store.createMultipart(KEY, 'video/mp4');
  expect(await store.listParts(TO, multipartId)).toBeNull();
  await store.abortMultipart(TO, multipartId);
  expect(await store.listParts(KEY, multipartId)).toEqual([]);
  for (const id of ['..', '../objects', '', 'a/b', '.unfinished']) expect(await store.listParts(KEY, id)).toBeNull();
  await expect(store.completeMultipart(KEY, multipartId, [])).rejects.toMatchObject({ code: 'not_uploaded' });
  for (const partNumber of [0, -1, 1.5, 10_001, Number.NaN])
    await expect(store.completeMultipart(KEY, multipartId, [{ partNumber, etag: 'x' }])).rejects.toMatchObject({ code: 'not_uploaded' });
});

test('the sweep removes the folder of a multipart upload that never began, and no other', async () => {
  const store = openStore();
  const multipartId = await store.createMultipart(KEY, 'video/mp4');
  await mkdir(join(root, 'multipart', v7()));
  expect(await store.sweep(0)).toBe(1);
  expect(await readdir(join(root, 'multipart'))).toEqual([multipartId]);
});

test('the sweep removes sidecars without an object, and leaves those with one', async () => {
  const store = openStore();
  await store.put(KEY, sourceOf('stays'));
  await store.put(TO, sourceOf('goes'));
  await unlink(join(root, 'objects', TO));
  expect(await store.sweep(Date.now() - 3_600_000)).toBe(0);
  expect(await store.sweep(Date.now() + 60_000)).toBe(1);
  expect(await store.head(KEY)).toMatchObject({ contentType: 'text/plain' });
  await expect(readFile(join(root, 'meta', TO))).rejects.toMatchObject({ code: 'ENOENT' });
});
