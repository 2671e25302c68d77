import { afterEach, describe, expect, test } from '@jest/globals';
import type { ObjectInfo } from '../../../src/ports/object-store.ts';
import { sha256 } from '../../support/platform.ts';
import { failure, openPresignRig, type PresignRig } from '../../support/presign-rig.ts';
import { PNG } from '../../support/samples.ts';

const MIB = 1024 ** 2;
const HELLO = Buffer.from('hello');
let rig: PresignRig;

const open = async (settings = {}): Promise<PresignRig> => {
  rig = await openPresignRig({ COMPLETE_WAIT_SECONDS: '20', ...settings });
  return rig;
};
afterEach(() => rig.close());

test('nothing is left waiting for the time in which it would have had to be answered', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  await rig.completion.complete(upload);
  await rig.completion.drain();
  expect(timers()).toBe(before);
});

test('what was uploaded is stored where no link can write, with its digest, and the staged object goes', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const stored = await rig.completion.complete(upload);
  expect(stored).toMatchObject({
    state: 'stored',
    sha256: sha256(HELLO),
    lease: null,
    expiresAt: null,
    attempts: 1,
    location: { store: 'disk', bucket: 'uploads', node: null },
  });
  expect(await rig.content(upload, 'files')).toBe('hello');
  await rig.completion.drain();
  expect(await rig.content(upload, 'staging')).toBeNull();
});

test('an empty file can be completed', async () => {
  await open();
  const stored = await rig.completion.complete(await rig.uploaded(Buffer.alloc(0)));
  expect(stored).toMatchObject({ state: 'stored', size: 0, sha256: sha256(Buffer.alloc(0)) });
});

test('the digest is computed from the stored bytes where the store does not know it', async () => {
  await open();
  const bytes = Buffer.alloc(300_000, 'abcdefg');
  for (const method of ['head', 'freeze'] as const)
    rig.store.on(method, async (next) => {
      const info = (await next()) as ObjectInfo | null;
      return info && { ...info, sha256: null };
    });
  expect(await rig.completion.complete(await rig.uploaded(bytes))).toMatchObject({ state: 'stored', sha256: sha256(bytes) });
  const wrong = await rig.uploaded(bytes, { sha256: 'ab'.repeat(32) });
  expect(await failure(rig.completion.complete(wrong))).toMatchObject({ code: 'digest_mismatch', status: 422 });
});

test('what was never sent is not uploaded yet: the upload stays pending and usable', async () => {
  await open();
  const upload = await rig.announce(5);
  expect(await failure(rig.completion.complete(upload))).toMatchObject({ code: 'not_uploaded', status: 409 });
  expect((await rig.find(upload.id)).version).toBe(1);
  await rig.stage(upload.staging?.key ?? '', HELLO);
  expect((await rig.completion.complete(upload)).state).toBe('stored');
});

describe('what is not as declared is discarded, and said again each time', () => {
  test.each([
    ['size_mismatch', Buffer.from('hell'), 'text/plain', {}],
    ['type_mismatch', HELLO, 'text/html', {}],
    ['digest_mismatch', HELLO, 'text/plain', { sha256: 'ab'.repeat(32) }],
    ['content_mismatch', PNG, 'image/jpeg', { contentType: 'image/jpeg' }],
  ])('%s', async (code, bytes, sentType, fields) => {
    await open();
    const size = code === 'size_mismatch' ? 5 : bytes.length;
    const upload = await rig.announce(size, fields);
    await rig.stage(upload.staging?.key ?? '', bytes, sentType);
    const first = await failure(rig.completion.complete(upload));
    expect(first).toMatchObject({ code, status: 422 });
    expect(first.extras.actual).toBeDefined();
    const failed = await rig.find(upload.id);
    expect(failed).toMatchObject({ state: 'failed', lease: null, error: { code } });
    expect([await rig.content(upload, 'files'), await rig.content(upload, 'staging')]).toEqual([null, null]);
    expect(await failure(rig.completion.complete(failed))).toMatchObject({ code, status: 422, detail: first.detail });
  });
});

test('unrecognised content and application/octet-stream pass', async () => {
  await open();
  for (const contentType of ['application/octet-stream', 'application/x-thing'])
    expect((await rig.completion.complete(await rig.uploaded(Buffer.from([1, 2, 3, 4]), { contentType }))).state).toBe('stored');
});

test('nothing of an object is read whose digest the store knows and whose first bytes can contradict nothing', async () => {
  await open();
  let reads = 0;
  rig.store.on('read', (next) => {
    reads += 1;
    return next();
  });
  const opaque = await rig.uploaded(PNG, { contentType: 'application/octet-stream' });
  expect(await rig.completion.complete(opaque)).toMatchObject({ state: 'stored', sha256: sha256(PNG) });
  expect(reads).toBe(0);
  expect((await rig.completion.complete(await rig.uploaded(PNG, { contentType: 'image/png' }))).state).toBe('stored');
  expect(reads).toBe(1);
});

test('a late PUT with a link that still works cannot replace what was completed', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  await rig.completion.complete(upload);
  await rig.completion.drain();
  await rig.stage(upload.staging?.key ?? '', Buffer.from('later'));
  expect(await rig.content(upload, 'files')).toBe('hello');
  expect(await rig.completion.complete(await rig.find(upload.id))).toMatchObject({ sha256: sha256(HELLO) });
});

test('an object replaced between check and move is checked again: what is recorded is what is stored', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const stop = rig.store.on('freeze', async (next) => {
    stop();
    await rig.stage(upload.staging?.key ?? '', Buffer.from('other'));
    return next();
  });
  const stored = await rig.completion.complete(upload);
  expect(stored.sha256).toBe(sha256(Buffer.from('other')));
  expect(await rig.content(upload, 'files')).toBe('other');
});

test('an object replaced by one of another size between check and move is refused', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const stop = rig.store.on('freeze', async (next) => {
    stop();
    await rig.stage(upload.staging?.key ?? '', Buffer.from('much longer'));
    return next();
  });
  expect(await failure(rig.completion.complete(upload))).toMatchObject({ code: 'size_mismatch' });
});

test('an object that is replaced again and again is a conflict, and the upload stays pending', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  rig.store.on('freeze', async () => null);
  expect(await failure(rig.completion.complete(upload))).toMatchObject({ code: 'conflict' });
  expect((await rig.find(upload.id)).state).toBe('pending');
});

test('an upload that was given back is stored as it was when it was reported last', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const stop = rig.store.on('freeze', async (next) => {
    await next();
    throw Object.assign(new Error('the answer was lost'), { name: 'WindlassError', code: 'store_unavailable' });
  });
  await failure(rig.completion.complete(upload));
  stop();
  await rig.stage(upload.staging?.key ?? '', Buffer.from('newer'));
  expect(await rig.completion.complete(await rig.find(upload.id))).toMatchObject({ sha256: sha256(Buffer.from('newer')) });
  expect(await rig.content(upload, 'files')).toBe('newer');
});

test('completions at once, in two processes, all get the same stored upload', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const other = rig.replica();
  let frozen = 0;
  rig.store.on('freeze', async (next) => {
    frozen += 1;
    return next();
  });
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? rig : other).completion.complete(upload)));
  await other.completion.drain();
  expect(new Set(answers.map(({ state, version }) => `${state} ${version}`))).toEqual(new Set(['stored 3']));
  expect(frozen).toBe(1);
});

test('completions at once of a wrong object all get the same error', async () => {
  await open();
  const upload = await rig.announce(6);
  await rig.stage(upload.staging?.key ?? '', HELLO);
  const errors = await Promise.all(Array.from({ length: 10 }, () => failure(rig.completion.complete(upload))));
  expect(new Set(errors.map(({ code, status }) => `${code} ${status}`))).toEqual(new Set(['size_mismatch 422']));
});

describe('parts', () => {
  const [a, b] = [Buffer.alloc(5 * MIB, 'a'), Buffer.alloc(MIB, 'b')];
  const whole = sha256(Buffer.concat([a, b]));
  const openMultipart = (settings = {}) => open({ SINGLE_PART_BYTES: '5MiB', PART_BYTES: '5MiB', ...settings });

  test('make up the file, whether they are named (with the quotes of their ETags or without) or not', async () => {
    await openMultipart();
    for (const form of [null, '', '"']) {
      const upload = await rig.announce(6 * MIB, { sha256: whole });
      await rig.part(upload, 2, b);
      await rig.part(upload, 1, a);
      const stored = await rig.presign.listParts(upload);
      const parts = stored.map(({ partNumber, etag }) => ({ partNumber, etag: form + etag.replaceAll('"', '') + form }));
      expect(await rig.completion.complete(upload, form === null ? {} : { parts })).toMatchObject({ state: 'stored', sha256: whole });
    }
  });

  test('that are missing, or others than reported, are not uploaded yet; the upload goes on', async () => {
    await openMultipart();
    const upload = await rig.announce(6 * MIB);
    await rig.part(upload, 1, a);
    expect(await failure(rig.completion.complete(upload))).toMatchObject({ code: 'not_uploaded', extras: { expected: 2, actual: 1 } });
    await rig.part(upload, 2, b);
    const [one] = await rig.presign.listParts(upload);
    const wrong = [
      { partNumber: 1, etag: one?.etag ?? '' },
      { partNumber: 2, etag: 'not-this' },
    ];
    expect(await failure(rig.completion.complete(upload, { parts: wrong }))).toMatchObject({ code: 'not_uploaded' });
    expect(await failure(rig.completion.complete(upload, { parts: [...wrong, ...wrong] }))).toMatchObject({ code: 'invalid_request' });
    expect((await rig.completion.complete(upload)).state).toBe('stored');
  });

  test('of other sizes than planned are a size mismatch, and nothing of them stays', async () => {
    await openMultipart();
    const upload = await rig.announce(6 * MIB);
    await rig.part(upload, 1, a);
    await rig.part(upload, 2, Buffer.alloc(MIB - 1));
    expect(await failure(rig.completion.complete(upload))).toMatchObject({ code: 'size_mismatch' });
    const left: string[] = [];
    for await (const { key } of rig.platform.store.listMultiparts('staging/')) left.push(key);
    expect(left).toEqual([]);
  });

  test('put together by a process that died then are found as the object they became', async () => {
    await openMultipart();
    const upload = await rig.announce(6 * MIB, { sha256: whole });
    await rig.part(upload, 1, a);
    await rig.part(upload, 2, b);
    const stop = rig.store.on('freeze', () => rig.death());
    void rig.completion.complete(upload).catch(() => undefined);
    while ((await rig.content(upload, 'staging')) === null) await new Promise(setImmediate);
    stop();
    const other = rig.replica();
    // A dead process renews no lease.
    rig.uploads.on('renewLease', async () => false);
    rig.pass(6000);
    const stored = await other.completion.complete(await rig.find(upload.id));
    expect(stored).toMatchObject({ state: 'stored', sha256: whole });
    await other.completion.drain();
  });
});

test('repeating it with another resource moves the link; without one it leaves the link alone', async () => {
  await open();
  const upload = await rig.uploaded(HELLO, { resource: { type: 'post', id: '1' } });
  const stored = await rig.completion.complete(upload);
  expect(stored).toMatchObject({ resource: { type: 'post', id: '1' }, resourceRevision: 1 });
  expect((await rig.completion.complete(stored)).version).toBe(stored.version);
  const moved = await rig.completion.complete(stored, { resource: { type: 'post', id: '2' } });
  expect(moved.resource).toEqual({ type: 'post', id: '2' });
  expect(await rig.platform.resources.find({ tenant: 'acme', type: 'post', id: '2' })).not.toBeNull();
});

test('a resource deleted in the middle of a completion is there again afterwards', async () => {
  await open();
  const upload = await rig.uploaded(HELLO, { resource: { type: 'post', id: '1' } });
  const key = { tenant: 'acme', type: 'post', id: '1' };
  const stop = rig.resourceRecords.on('touch', async (next) => {
    const touched = await next();
    stop();
    await rig.platform.resources.remove(key, 1);
    return touched;
  });
  await rig.completion.complete(upload);
  expect((await rig.resources.get(key)).uploads.map(({ id }) => id)).toEqual([upload.id]);
});

test('what takes longer than the wait is answered as verifying and goes on by itself', async () => {
  await open({ COMPLETE_WAIT_SECONDS: '0' });
  const upload = await rig.uploaded(HELLO);
  let goOn = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  rig.store.on('freeze', async (next) => held.then(next));
  expect(await rig.completion.complete(upload)).toMatchObject({ state: 'verifying' });
  expect(await rig.completion.complete(upload)).toMatchObject({ state: 'verifying' });
  goOn();
  await rig.completion.drain();
  expect(await rig.find(upload.id)).toMatchObject({ state: 'stored', sha256: sha256(HELLO) });
});

test('a large file is left to a job, and the request waits for what comes of it', async () => {
  await open();
  const upload = await rig.announce(65 * MIB);
  const bytes = Buffer.alloc(65 * MIB);
  await rig.stage(upload.staging?.key ?? '', bytes);
  const completed = rig.completion.complete(upload);
  let handed = await rig.find(upload.id);
  while (handed.state !== 'verifying') handed = await rig.find(upload.id);
  expect(handed).toMatchObject({ lease: null, outbox: [{ kind: 'job', job: 'complete' }, { kind: 'event' }] });
  expect(await rig.replica().completion.runJob(rig.job(upload), rig.delivery())).toEqual({ outcome: 'done' });
  expect(await completed).toMatchObject({ state: 'stored', sha256: sha256(bytes) });
});
