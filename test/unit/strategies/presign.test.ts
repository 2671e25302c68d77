import { afterEach, expect, test } from '@jest/globals';
import { failure, openPresignRig, outage, type PresignRig } from '../../support/presign-rig.ts';

const MIB = 1024 ** 2;
let rig: PresignRig;

const open = async (settings = {}): Promise<PresignRig> => {
  rig = await openPresignRig({ LINK_TTL_SECONDS: '900', PENDING_TTL_SECONDS: '3600', ...settings });
  return rig;
};
afterEach(() => rig.close());

const expiryOf = (url: string): number => Number(new URL(url).searchParams.get('expires'));
const multiparts = async (): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of rig.platform.store.listMultiparts('staging/')) keys.push(key);
  return keys;
};

test('a small file gets one PUT link, bound to size, type and digest, for a key of its own', async () => {
  await open();
  const upload = await rig.announce(5, { filename: '../../etc/passwd', sha256: 'ab'.repeat(32) });
  expect(upload).toMatchObject({ state: 'pending', filename: 'passwd', size: 5, staging: { method: 'PUT', multipartId: null } });
  const grant = await rig.presign.grant(upload);
  if (!grant || !('request' in grant)) throw new Error('no link');
  const { request } = grant;
  expect(request.method).toBe('PUT');
  expect(new URL(request.url).pathname).toBe(`/store/${upload.staging?.key}`);
  expect(Object.keys(request.headers)).toEqual(['Content-Type', 'Content-Digest']);
  expect(expiryOf(request.url)).toBe(request.expiresAt);
  expect((await rig.find(upload.id)).staging?.linkExpiresAt).toBeGreaterThanOrEqual(request.expiresAt);
});

test('an empty file is a file', async () => {
  await open();
  expect(await rig.presign.grant(await rig.announce(0))).toMatchObject({ request: { method: 'PUT' } });
});

test('a form is signed where it is asked for, but not for a file that is sent in parts', async () => {
  await open({ SINGLE_PART_BYTES: '1MiB' });
  const grant = await rig.presign.grant(await rig.announce(5, { method: 'POST' }));
  expect(grant).toMatchObject({ request: { method: 'POST', fields: expect.any(Object) } });
  const error = await failure(rig.announce(2 * MIB, { method: 'POST' }));
  expect(error).toMatchObject({ code: 'invalid_request', extras: { errors: [{ pointer: '/method' }] } });
});

test('what is too large or of another type is refused', async () => {
  await open({ MAX_UPLOAD_BYTES: '10', ALLOWED_TYPES: 'text/plain,image/*' });
  expect(await failure(rig.announce(11))).toMatchObject({ code: 'too_large', extras: { limit: 10 } });
  expect(await failure(rig.announce(1, { contentType: 'video/mp4' }))).toMatchObject({
    code: 'type_not_allowed',
    status: 415,
    extras: { expected: ['text/plain', 'image/*'] },
  });
  await rig.announce(10, { contentType: 'image/png' });
});

test('a large file is sent in parts that are signed one by one', async () => {
  await open({ SINGLE_PART_BYTES: '5MiB', PART_BYTES: '5MiB' });
  const upload = await rig.announce(12 * MIB);
  expect(await rig.presign.grant(upload)).toEqual({ multipart: { partSize: 5 * MIB, partCount: 3, expiresAt: upload.expiresAt } });
  const links = await rig.presign.parts(upload, [3, 1]);
  expect(links.map(({ partNumber }) => partNumber)).toEqual([3, 1]);
  expect(links.map(({ url }) => Number(new URL(url).searchParams.get('size')))).toEqual([2 * MIB, 5 * MIB]);
  expect(await rig.presign.listParts(upload)).toEqual([]);
  await rig.part(upload, 2, Buffer.alloc(5 * MIB));
  expect(await rig.presign.listParts(upload)).toMatchObject([{ partNumber: 2, size: 5 * MIB }]);
  expect(await failure(rig.presign.parts(upload, [1, 4]))).toMatchObject({
    code: 'invalid_request',
    extras: { errors: [{ pointer: '/partNumbers/1' }] },
  });
});

test('links and parts are not to be mixed up', async () => {
  await open({ SINGLE_PART_BYTES: '5MiB', PART_BYTES: '5MiB' });
  const [single, multipart] = [await rig.announce(1), await rig.announce(6 * MIB)];
  for (const wrong of [
    rig.presign.parts(single, [1]),
    rig.presign.listParts(single),
    rig.presign.link(multipart),
    rig.completion.complete(single, { parts: [{ partNumber: 1, etag: 'x' }] }),
  ])
    expect(await failure(wrong)).toMatchObject({ code: 'invalid_state', extras: { actual: 'pending' } });
});

test('the record knows how long a link works before the client does, and not every link costs a write', async () => {
  await open();
  const upload = await rig.announce(5);
  rig.pass(600_000);
  let recorded = 0;
  const stop = rig.uploads.on('apply', async (next) => {
    recorded += 1;
    return next();
  });
  const link = await rig.presign.link(upload);
  const written = await rig.find(upload.id);
  expect(written.staging?.linkExpiresAt).toBeGreaterThanOrEqual(link.expiresAt);
  expect(link.expiresAt).toBeGreaterThan(upload.staging?.linkExpiresAt ?? 0);
  for (let i = 0; i < 5; i += 1) await rig.presign.link(await rig.find(upload.id));
  expect(recorded).toBe(1);
  stop();
  rig.uploads.on('apply', async () => Promise.reject(new Error('the database is away')));
  rig.pass(600_000);
  await expect(rig.presign.link(await rig.find(upload.id))).rejects.toThrow('away');
});

test('no link outlives its upload', async () => {
  await open();
  const upload = await rig.announce(5);
  rig.pass(3_000_000);
  expect((await rig.presign.link(upload)).expiresAt).toBe(upload.expiresAt);
});

test('past its time an upload is expired, and what was sent is removed', async () => {
  await open();
  const upload = await rig.uploaded(Buffer.from('hello'));
  rig.pass(3_600_001);
  expect(await rig.presign.grant(upload)).toBeNull();
  expect(await failure(rig.presign.link(upload))).toMatchObject({ code: 'expired', status: 410 });
  const after = await rig.find(upload.id);
  expect(after.state).toBe('expired');
  expect(await rig.content(upload, 'staging')).toBeNull();
  expect(await failure(rig.presign.link(after))).toMatchObject({ code: 'expired' });
  expect(await failure(rig.completion.complete(after))).toMatchObject({ code: 'expired' });
});

test('a completed upload gives no more links, and names its state', async () => {
  await open();
  const upload = await rig.uploaded(Buffer.from('hello'));
  await rig.completion.complete(upload);
  expect(await failure(rig.presign.link(await rig.find(upload.id)))).toMatchObject({ code: 'invalid_state', extras: { actual: 'stored' } });
});

test('a record that could not be written leaves no multipart upload; one that may have been written keeps it', async () => {
  await open({ SINGLE_PART_BYTES: '5MiB', PART_BYTES: '5MiB' });
  rig.uploads.on('insert', async () => Promise.reject(Object.assign(new Error('taken'), { code: 'conflict' })));
  await failure(rig.announce(6 * MIB));
  expect(await multiparts()).toEqual([]);
  rig.uploads.on('insert', async () => Promise.reject(Object.assign(new Error('timeout'), { code: 'repository_unavailable' })));
  await failure(rig.announce(6 * MIB));
  expect(await multiparts()).toHaveLength(1);
});

test('an outage of the store stops no single link, only what needs the store', async () => {
  await open({ SINGLE_PART_BYTES: '5MiB', PART_BYTES: '5MiB' });
  const multipart = await rig.announce(6 * MIB);
  for (const method of ['createMultipart', 'listParts', 'head'] as const) rig.store.on(method, () => Promise.reject(outage()));
  const upload = await rig.announce(5);
  await rig.presign.link(upload);
  await rig.presign.parts(multipart, [1, 2]);
  expect(await failure(rig.announce(6 * MIB))).toMatchObject({ code: 'store_unavailable' });
  expect(await failure(rig.presign.listParts(multipart))).toMatchObject({ code: 'store_unavailable' });
});
