import { afterEach, expect, test } from '@jest/globals';
import { acceptDirect, acceptRelay } from '../../support/platform.ts';
import { failure, openPresignRig, outage, type PresignRig } from '../../support/presign-rig.ts';

const KEY = { tenant: 'acme', type: 'post', id: '1' };
const HELLO = Buffer.from('hello');
const always = (): void => undefined;
let rig: PresignRig;

const open = async (settings = {}): Promise<PresignRig> => {
  rig = await openPresignRig({ COMPLETE_WAIT_SECONDS: '20', ...settings });
  return rig;
};
afterEach(() => rig.close());

const stored = async (): Promise<string> => (await rig.completion.complete(await rig.uploaded(HELLO))).id;
const put = (ids: string[], key = KEY) => rig.resources.put(key, { uploads: ids.map((id) => ({ id })) }, always);
const idsOf = async (key = KEY): Promise<string[]> => (await rig.resources.get(key)).uploads.map(({ id }) => id).sort();

test('an outage of the store while files are looked at changes nothing and is no fault of theirs', async () => {
  await open();
  const [a, b] = [await stored(), await stored()];
  await put([a]);
  const stop = rig.store.on('head', () => Promise.reject(outage()));
  expect(await failure(put([a, b]))).toMatchObject({ code: 'store_unavailable' });
  stop();
  expect(await idsOf()).toEqual([a]);
});

test('a file whose bytes are gone, or not all there, cannot be linked', async () => {
  await open();
  const [gone, cut, direct] = [await stored(), await stored(), (await acceptDirect(rig, HELLO)).id];
  await rig.platform.store.remove((await rig.find(gone)).location?.key ?? '');
  await rig.ledger.amend(await rig.find(cut), { size: 6 });
  await rig.platform.direct.remove((await rig.find(direct)).location?.key ?? '');
  expect((await failure(put([gone, cut, direct]))).extras.errors).toMatchObject([
    { pointer: '/uploads/0', code: 'not_stored' },
    { pointer: '/uploads/1', code: 'size_mismatch' },
    { pointer: '/uploads/2', code: 'not_stored' },
  ]);
  expect(await failure(rig.resources.get(KEY))).toMatchObject({ code: 'not_found' });
});

test('a file of another tenant is not found', async () => {
  await open();
  const id = await stored();
  expect((await failure(put([id], { ...KEY, tenant: 'other' }))).extras.errors).toMatchObject([
    { pointer: '/uploads/0', code: 'not_found' },
  ]);
  await put([id]);
  expect(await failure(rig.resources.get({ ...KEY, tenant: 'other' }))).toMatchObject({ code: 'not_found' });
});

test('a relayed file is linked once it is stored', async () => {
  await open();
  const { id } = await acceptRelay(rig, HELLO);
  expect((await failure(put([id]))).extras.errors).toMatchObject([{ code: 'not_stored', detail: expect.stringContaining('queued') }]);
});

test('pending files are completed; where another file fails they stay stored, but nothing is linked', async () => {
  await open();
  const pending = await rig.uploaded(HELLO, { resource: { type: 'post', id: '1' } });
  const never = await rig.announce(5);
  expect((await failure(put([pending.id, never.id]))).extras.errors).toMatchObject([{ pointer: '/uploads/1', code: 'not_uploaded' }]);
  expect(await rig.find(pending.id)).toMatchObject({ state: 'stored', resource: null });
  expect((await rig.find(never.id)).state).toBe('pending');
  expect(await rig.platform.resources.find(KEY)).toBeNull();
  expect((await put([pending.id])).uploads.map(({ id }) => id)).toEqual([pending.id]);
});

test('an announced upload is not unlinked before it was linked: its completion links it', async () => {
  await open();
  const [a, announced] = [await stored(), await rig.uploaded(HELLO, { resource: { type: 'post', id: '1' } })];
  await put([a]);
  expect(await idsOf()).toEqual([a]);
  await rig.completion.complete(announced);
  expect(await idsOf()).toEqual([a, announced.id].sort());
});

test('an accepted upload that is not stored yet belongs to its resource, and can be unlinked', async () => {
  await open();
  await rig.platform.resources.touch(KEY, rig.platform.clock());
  const relayed = await acceptRelay(rig, HELLO, { resource: { type: 'post', id: '1' }, resourceRevision: 1 });
  expect(await idsOf()).toEqual([relayed.id]);
  await put([]);
  expect(await idsOf()).toEqual([]);
  expect((await rig.find(relayed.id)).state).toBe('queued');
});

test('a PUT that was cut off in the middle of its links is finished by the reconciler', async () => {
  await open();
  const ids = [await stored(), await stored(), await stored()];
  await put(ids.slice(0, 1));
  let writes = 0;
  const stop = rig.uploads.on('apply', async (next) => {
    writes += 1;
    if (writes === 2) throw Object.assign(new Error('timeout'), { code: 'repository_unavailable' });
    return next();
  });
  await failure(put(ids.slice(1)));
  stop();
  const unsettled = await rig.platform.resources.unsettled(rig.platform.clock() + 1000, 10);
  expect(unsettled.map(({ id }) => id)).toEqual(['1']);
  for (const resource of unsettled) await rig.replica().resources.finishIntent(resource);
  expect(await idsOf()).toEqual(ids.slice(1).sort());
  expect(await rig.platform.resources.unsettled(rig.platform.clock() + 1000, 10)).toEqual([]);
});

test('a completion that comes to the resource during a PUT is not undone by it', async () => {
  await open();
  const [named, completed] = [await stored(), await rig.uploaded(HELLO, { resource: { type: 'post', id: '1' } })];
  const stop = rig.resourceRecords.on('replace', async (next) => {
    stop();
    const replaced = await next();
    await rig.completion.complete(completed);
    return replaced;
  });
  await put([named]);
  expect(await idsOf()).toEqual([named, completed.id].sort());
});

test('lists end at a thousand uploads, the newest', async () => {
  await open();
  await put([]);
  const made: string[] = [];
  const trace = { requestId: 'r', traceparent: null };
  const fields = {
    tenant: 'acme',
    strategy: 'direct',
    filename: 'f',
    contentType: 'a/b',
    size: 0,
    sha256: null,
    metadata: {},
    trace,
  } as const;
  for (let i = 0; i < 1005; i += 1) {
    const id = rig.platform.newId();
    made.push(id);
  }
  await Promise.all(made.map((id) => rig.ledger.create({ ...fields, id, resource: { type: 'post', id: '1' }, resourceRevision: 1 })));
  expect(await idsOf()).toEqual(made.sort().slice(5));
  await put([]);
  expect(await idsOf()).toEqual([]);
});
