import { PassThrough } from 'node:stream';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomSource } from '../support/s3-sources.ts';
import { contentOf, multipartsOf, type OpenedS3Store, openS3Store } from '../support/s3-store.ts';
import { newKey, PART_BYTES as PART } from '../support/samples.ts';
import { withServers } from './with-servers.ts';

const BUCKET = 'windlass-put-parts';

/** Putting an object in parts. */
withServers(({ s3 }) => {
  let opened: OpenedS3Store;
  let small: OpenedS3Store;
  beforeAll(async () => {
    opened = await openS3Store(s3, BUCKET);
    small = await openS3Store(s3, BUCKET, { store: { limits: { singlePutBytes: PART, putPartBytes: PART } } });
  });
  afterAll(() => Promise.all([opened.close(), small.close()]));

  test('reads the parts by their offsets, and the object is whole', async () => {
    const key = newKey();
    const source = await randomSource(2 * PART + 12_345, 'parts');
    const info = await small.store.put(key, source);
    expect(info).toMatchObject({ key, size: source.size, contentType: 'application/x-random' });
    expect(info.etag).toMatch(/-3"$/);
    expect(await contentOf(opened.store, key)).toEqual({ size: source.size, sha256: source.sha256 });
    expect(source.opened).toEqual([
      undefined,
      { start: 0, end: PART - 1 },
      { start: PART, end: 2 * PART - 1 },
      { start: 2 * PART, end: source.size - 1 },
    ]);
    expect(await multipartsOf(opened.store, key)).toEqual([]);
  });

  test('each part carries its own digest, for the store to check', async () => {
    const key = newKey();
    await small.store.put(key, await randomSource(PART + 1, 'checksums'));
    const { connection } = opened;
    const output = await connection.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key, ChecksumMode: 'ENABLED' }));
    expect(output.ChecksumSHA256).toMatch(/-2$/);
  });

  test('the same again is not sent again', async () => {
    const key = newKey();
    const source = await randomSource(PART + 1, 'parts again');
    const { etag } = await small.store.put(key, source);
    const opens = source.opened.length;
    expect(await small.store.put(key, source)).toMatchObject({ etag });
    expect(source.opened).toHaveLength(opens);
  });

  test('other bytes than declared are digest_mismatch before anything is sent', async () => {
    const key = newKey();
    const source = await randomSource(PART + 1, 'parts wrong', { sha256: '0'.repeat(64) });
    await expect(small.store.put(key, source)).rejects.toMatchObject({ code: 'digest_mismatch' });
    expect(source.opened).toEqual([undefined]);
    expect(await multipartsOf(opened.store, key)).toEqual([]);
    expect(await opened.store.head(key)).toBeNull();
  });

  test('bytes that change between the two readings are digest_mismatch, and nothing is left', async () => {
    const key = newKey();
    const source = await randomSource(PART + 1, 'parts change');
    const other = await randomSource(PART + 1, 'parts changed');
    const put = small.store.put(key, { ...source, open: (range) => (range ? other.open(range) : source.open()) });
    await expect(put).rejects.toMatchObject({ code: 'digest_mismatch' });
    expect(await multipartsOf(opened.store, key)).toEqual([]);
    expect(await opened.store.head(key)).toBeNull();
  });

  test('a part whose source breaks off is store_unavailable, nothing is left, and a second try succeeds', async () => {
    const key = newKey();
    const source = await randomSource(3 * PART, 'parts break');
    const lost = Object.assign(new Error('the pod is gone'), { code: 'ECONNRESET' });
    const put = small.store.put(key, {
      ...source,
      open: (range) => (range && range.start >= PART ? Promise.reject(lost) : source.open(range)),
    });
    await expect(put).rejects.toMatchObject({ code: 'store_unavailable', cause: lost, retryAfter: 5 });
    expect(source.streams.every((stream) => stream.destroyed)).toBe(true);
    expect(await multipartsOf(opened.store, key)).toEqual([]);
    expect(await opened.store.head(key)).toBeNull();
    expect(await small.store.put(key, source)).toMatchObject({ size: source.size });
  });

  test('called off in the middle, it leaves nothing', async () => {
    const key = newKey();
    const source = await randomSource(2 * PART, 'parts off');
    const stuck = new PassThrough();
    const calling = new AbortController();
    const asked = Promise.withResolvers<void>();
    const open: typeof source.open = async (range) => {
      if (!range) return source.open();
      asked.resolve();
      return stuck;
    };
    const put = small.store.put(key, { ...source, open }, calling.signal);
    await asked.promise;
    calling.abort();
    await expect(put).rejects.toMatchObject({ name: 'AbortError' });
    expect(stuck.destroyed).toBe(true);
    expect(await multipartsOf(opened.store, key)).toEqual([]);
  });

  test('what an earlier try has left is removed', async () => {
    const key = newKey();
    const left = await opened.store.createMultipart(key, 'application/x-random');
    await small.store.put(key, await randomSource(PART + 1, 'parts left'));
    expect(await opened.store.listParts(key, left)).toBeNull();
  });
});
