import { PassThrough } from 'node:stream';
import { setTimeout as passed } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ObjectInfo } from '../../src/ports/object-store.ts';
import { eventually } from '../support/eventually.ts';
import { BufferingProxy } from '../support/s3-buffering-proxy.ts';
import { randomSource } from '../support/s3-sources.ts';
import { type OpenedS3Store, openS3Store } from '../support/s3-store.ts';
import { newKey } from '../support/samples.ts';
import { withServers } from './with-servers.ts';

const MIB = 1024 ** 2;
const BUCKET = 'windlass-put';

/** Putting an object by one request. */
withServers(({ s3 }) => {
  let opened: OpenedS3Store;
  beforeAll(async () => {
    opened = await openS3Store(s3, BUCKET);
  });
  afterAll(() => opened.close());

  test('the store knows the digest, and gives it to the frozen copy', async () => {
    const source = await randomSource(300_000, 'digest');
    const [key, frozenKey] = [newKey('staging'), newKey()];
    const { etag, sha256 } = await opened.store.put(key, source);
    expect(sha256).toBe(source.sha256);
    expect(await opened.store.head(key)).toMatchObject({ sha256, etag });
    expect(await opened.store.freeze(key, frozenKey, etag)).toMatchObject({ sha256 });
  });

  test('the same again is not stored again', async () => {
    const key = newKey();
    const source = await randomSource(1000, 'again');
    const first = await opened.store.put(key, source);
    const { modifiedAt } = (await opened.store.head(key)) as ObjectInfo;
    await passed(1100);
    expect(await opened.store.put(key, source)).toEqual({ ...first, modifiedAt });
  });

  test('a small object costs one request, and the same again one more that looks at what is there', async () => {
    const proxy = await BufferingProxy.to(s3.endpoint);
    const behind = await openS3Store(s3, BUCKET, { connection: { endpoint: proxy.url }, provision: false });
    const key = newKey();
    const source = await randomSource(1000, 'requests');
    const methods = (): string[] => proxy.passed.map(({ method }) => method);
    await behind.store.put(key, source);
    expect(methods()).toEqual(['PUT']);
    expect(await behind.store.put(key, source)).toMatchObject({ sha256: source.sha256 });
    expect(methods()).toEqual(['PUT', 'PUT', 'HEAD']);
    await behind.close();
    proxy.close();
  });

  test('a larger one that is there already is not sent again', async () => {
    const key = newKey();
    const source = await randomSource(MIB + 1, 'larger again');
    await opened.store.put(key, source);
    await opened.store.put(key, source);
    expect(source.opened).toHaveLength(1);
  });

  test('a store that breaks the connection off instead of refusing what it has is asked what it has', async () => {
    const proxy = await BufferingProxy.to(s3.endpoint);
    const behind = await openS3Store(s3, BUCKET, { connection: { endpoint: proxy.url }, provision: false });
    const [key, other] = [newKey(), newKey()];
    const source = await randomSource(1000, 'broken off');
    const { etag } = await behind.store.put(key, source);
    proxy.meanwhile = ({ method }) => (method === 'PUT' ? Promise.reject(new Error('broken off')) : undefined);
    expect(await behind.store.put(key, source)).toMatchObject({ etag, sha256: source.sha256 });
    await expect(behind.store.put(other, source)).rejects.toMatchObject({ code: 'store_unavailable' });
    await behind.close();
    proxy.close();
  });

  test('a store that does not know the condition is looked at first instead', async () => {
    const proxy = await BufferingProxy.to(s3.endpoint);
    proxy.unknown = ['if-none-match'];
    const behind = await openS3Store(s3, BUCKET, { connection: { endpoint: proxy.url }, provision: false });
    const key = newKey();
    const source = await randomSource(1000, 'no conditions');
    await behind.store.put(key, source);
    const sent = source.opened.length;
    expect(await behind.store.put(key, source)).toMatchObject({ sha256: source.sha256 });
    expect(source.opened).toHaveLength(sent);
    await behind.close();
    proxy.close();
  });

  test.each([
    ['fewer', 90_000],
    ['more', 110_000],
  ])('a source with %s bytes than it says is digest_mismatch, and nothing is there', async (_, actual) => {
    const key = newKey();
    const declared = await randomSource(100_000, 'length');
    const other = await randomSource(actual, 'length');
    const put = opened.store.put(key, { ...declared, open: other.open });
    await expect(put).rejects.toMatchObject({ code: 'digest_mismatch' });
    expect(await opened.store.head(key)).toBeNull();
  });

  test('called off in the middle, it lets go of the source at once', async () => {
    const key = newKey();
    const source = await randomSource(100_000, 'off');
    const stream = new PassThrough();
    stream.write(Buffer.alloc(1000));
    const calling = new AbortController();
    const put = opened.store.put(key, { ...source, open: async () => stream }, calling.signal);
    await eventually(() => expect(stream.readableLength).toBe(0));
    calling.abort(new Error('the lease was lost'));
    await expect(put).rejects.toMatchObject({ name: 'AbortError' });
    expect(stream.destroyed).toBe(true);
    expect(await opened.store.head(key)).toBeNull();
  });

  test('a bug of the source is passed on as it is', async () => {
    const source = await randomSource(1000, 'bug');
    const bug = new TypeError('x is not a function');
    await expect(opened.store.put(newKey(), { ...source, open: () => Promise.reject(bug) })).rejects.toBe(bug);
  });

  test('a body is never hashed by the client, nor sent in chunks', async () => {
    const proxy = await BufferingProxy.to(s3.endpoint);
    const behind = await openS3Store(s3, BUCKET, { connection: { endpoint: proxy.url } });
    const source = await randomSource(3 * MIB, 'headers');
    await behind.store.put(newKey(), source);
    await behind.store.put(newKey(), source);
    const [first, second] = proxy.passed.filter(({ method }) => method === 'PUT').map(({ headers }) => headers);
    const checksum = Buffer.from(source.sha256, 'hex').toString('base64');
    for (const headers of [first, second]) {
      expect(headers).toMatchObject({ 'content-length': String(3 * MIB), 'x-amz-checksum-sha256': checksum });
      expect(Object.keys(headers ?? {})).not.toEqual(expect.arrayContaining(['x-amz-trailer']));
      expect(headers?.expect).toBeUndefined();
      expect(headers?.['content-encoding']).toBeUndefined();
    }
    expect(first?.['x-amz-content-sha256']).toBe(source.sha256);
    expect(second?.['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
    await behind.close();
    proxy.close();
  });

  test('where the store knows no checksums, each body has its digest in the signature', async () => {
    const proxy = await BufferingProxy.to(s3.endpoint);
    proxy.withheld = ['x-amz-checksum-sha256'];
    const behind = await openS3Store(s3, BUCKET, { connection: { endpoint: proxy.url } });
    const source = await randomSource(1000, 'no checksums');
    const key = newKey();
    const { etag } = await behind.store.put(key, source);
    await behind.store.put(newKey(), source);
    const signed = proxy.passed.filter(({ method }) => method === 'PUT').map(({ headers }) => headers['x-amz-content-sha256']);
    expect(signed).toEqual([source.sha256, source.sha256]);
    // The same again is known by what was noted beside it.
    expect(await behind.store.put(key, source)).toMatchObject({ sha256: null, size: 1000, etag });
    await behind.close();
    proxy.close();
  });

  test('what a store did not check, although it used to, does not stay', async () => {
    const proxy = await BufferingProxy.to(s3.endpoint);
    const behind = await openS3Store(s3, BUCKET, { connection: { endpoint: proxy.url } });
    const source = await randomSource(1000, 'forgets');
    await behind.store.put(newKey(), source);
    proxy.withheld = ['x-amz-checksum-sha256'];
    const key = newKey();
    await expect(behind.store.put(key, source)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await opened.store.head(key)).toBeNull();
    expect(await behind.store.put(key, source)).toMatchObject({ size: 1000 });
    await behind.close();
    proxy.close();
  });
});
