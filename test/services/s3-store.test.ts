import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, type Readable } from 'node:stream';
import { setTimeout as passed } from 'node:timers/promises';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import type { S3Options } from '../../src/adapters/object-store/s3/connection.ts';
import { keyOf } from '../../src/core/keys.ts';
import type { ObjectInfo, ObjectStore } from '../../src/ports/object-store.ts';
import { eventually } from '../support/eventually.ts';
import { digestOf } from '../support/random-file.ts';
import { BufferingProxy } from '../support/s3-buffering-proxy.ts';
import { randomSource } from '../support/s3-sources.ts';
import { openS3Store } from '../support/s3-store.ts';
import { withServers } from './with-servers.ts';

type Opened = Awaited<ReturnType<typeof openS3Store>>;

const MIB = 1024 ** 2;
/** The smallest size that S3 takes for a part that is not the last. */
const PART = 5 * MIB;
const BUCKET = 'windlass-store';
const newKey = (area: 'files' | 'staging' = 'files', tenant = 'acme'): string => keyOf(area, tenant, v7());

withServers(({ s3 }) => {
  let opened: Opened;
  let small: Opened;
  beforeAll(async () => {
    const limits = { singlePutBytes: PART, putPartBytes: PART, singleCopyBytes: PART, copyPartBytes: PART };
    opened = await openS3Store(s3, BUCKET);
    small = await openS3Store(s3, BUCKET, { store: { limits } });
  });
  afterAll(() => Promise.all([opened.close(), small.close()]));

  const contentOf = async (key: string) => digestOf((await opened.store.read(key)) as Readable);
  const multiparts = async (prefix: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const { key } of opened.store.listMultiparts(prefix)) found.push(key);
    return found;
  };

  describe('putting by one request', () => {
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

  describe('putting in parts', () => {
    test('reads the parts by their offsets, and the object is whole', async () => {
      const key = newKey();
      const source = await randomSource(2 * PART + 12_345, 'parts');
      const info = await small.store.put(key, source);
      expect(info).toMatchObject({ key, size: source.size, contentType: 'application/x-random' });
      expect(info.etag).toMatch(/-3"$/);
      expect(await contentOf(key)).toEqual({ size: source.size, sha256: source.sha256 });
      expect(source.opened).toEqual([
        undefined,
        { start: 0, end: PART - 1 },
        { start: PART, end: 2 * PART - 1 },
        { start: 2 * PART, end: source.size - 1 },
      ]);
      expect(await multiparts(key)).toEqual([]);
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
      expect(await multiparts(key)).toEqual([]);
      expect(await opened.store.head(key)).toBeNull();
    });

    test('bytes that change between the two readings are digest_mismatch, and nothing is left', async () => {
      const key = newKey();
      const source = await randomSource(PART + 1, 'parts change');
      const other = await randomSource(PART + 1, 'parts changed');
      const put = small.store.put(key, { ...source, open: (range) => (range ? other.open(range) : source.open()) });
      await expect(put).rejects.toMatchObject({ code: 'digest_mismatch' });
      expect(await multiparts(key)).toEqual([]);
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
      expect(await multiparts(key)).toEqual([]);
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
      expect(await multiparts(key)).toEqual([]);
    });

    test('what an earlier try has left is removed', async () => {
      const key = newKey();
      const left = await opened.store.createMultipart(key, 'application/x-random');
      await small.store.put(key, await randomSource(PART + 1, 'parts left'));
      expect(await opened.store.listParts(key, left)).toBeNull();
    });
  });

  describe('freezing by parts', () => {
    test('copies a large object with its type', async () => {
      const [from, to] = [newKey('staging'), newKey()];
      const source = await randomSource(2 * PART + 999, 'copy');
      const { etag } = await opened.store.put(from, source);
      const frozen = await small.store.freeze(from, to, etag);
      expect(frozen).toMatchObject({ key: to, size: source.size, contentType: 'application/x-random' });
      expect(frozen?.etag).toMatch(/-3"$/);
      expect(await contentOf(to)).toEqual({ size: source.size, sha256: source.sha256 });
      expect(await multiparts(to)).toEqual([]);
    });

    test('from several sides at once makes one copy, and leaves no parts', async () => {
      const [from, to] = [newKey('staging'), newKey()];
      const source = await randomSource(PART + 1, 'copies');
      const { etag } = await opened.store.put(from, source);
      const copies = await Promise.all(Array.from({ length: 3 }, () => small.store.freeze(from, to, etag)));
      for (const copy of copies) expect(copy).toMatchObject({ key: to, size: source.size });
      expect(await multiparts(to)).toEqual([]);
    });
  });

  describe.each([
    ['by one request', 1000],
    ['by parts', PART + 1],
  ])('freezing %s while others write', (_, size) => {
    const freezing = async (meanwhile: (from: string, to: string) => Promise<unknown>) => {
      const proxy = await BufferingProxy.to(s3.endpoint);
      const behind = await openS3Store(s3, BUCKET, {
        connection: { endpoint: proxy.url },
        store: { limits: { singleCopyBytes: PART, copyPartBytes: PART } },
      });
      const [from, to] = [newKey('staging'), newKey()];
      const { etag } = await opened.store.put(from, await randomSource(size, 'checked'));
      let done: Promise<unknown> | undefined;
      proxy.meanwhile = ({ headers }) => {
        if (headers['x-amz-copy-source']) done ??= meanwhile(from, to);
        return done;
      };
      const frozen = await behind.store.freeze(from, to, etag);
      expect(done).toBeDefined();
      expect(await multiparts(to)).toEqual([]);
      await behind.close();
      proxy.close();
      return { frozen, there: await opened.store.head(to), conditions: proxy.passed.map(({ headers }) => headers['if-none-match']) };
    };

    test('an object that is replaced before it is copied is not copied', async () => {
      const other = await randomSource(size, 'swapped');
      expect(await freezing((from) => opened.store.put(from, other))).toMatchObject({ frozen: null, there: null });
    });

    test('an object that goes before it is copied is null', async () => {
      expect(await freezing((from) => opened.store.remove(from))).toMatchObject({ frozen: null, there: null });
    });

    test('a copy that was made first stays', async () => {
      const first = await randomSource(size, 'first');
      const { frozen, there, conditions } = await freezing((_from, to) => opened.store.put(to, first));
      expect(conditions).toContain('*');
      expect(frozen).toEqual(there);
      // Versity Gateway 1.8 does not know the condition for a copy by one request: there the look before it has to do.
      if (size > PART) expect(there).toMatchObject({ sha256: first.sha256 });
    });
  });

  test('listings go on beyond one page', async () => {
    const tenant = `many-${Date.now()}`;
    const many = Array.from({ length: 1001 }, (_, index) => index + 1);
    const key = newKey('staging', tenant);
    const source = await randomSource(1, 'page');
    const multipartId = await opened.store.createMultipart(key, 'text/plain');
    const inLanes = async (work: (index: number) => Promise<unknown>): Promise<void> => {
      const waiting = many.values();
      const lane = async (): Promise<void> => {
        for (const index of waiting) await work(index);
      };
      await Promise.all(Array.from({ length: 16 }, lane));
    };
    await inLanes(() => opened.store.put(newKey('files', tenant), source));
    await inLanes((index) => opened.uploadPart(key, multipartId, index, Buffer.from('x')));
    await inLanes(() => opened.store.createMultipart(newKey('staging', tenant), 'text/plain'));
    expect(await opened.store.listParts(key, multipartId)).toHaveLength(1001);
    expect(await count(opened.store.list(`files/${tenant}/`))).toBe(1001);
    expect(await count(opened.store.listMultiparts(`staging/${tenant}/`))).toBe(1002);
    for await (const found of opened.store.listMultiparts(`staging/${tenant}/`))
      await opened.store.abortMultipart(found.key, found.multipartId);
    expect(await count(opened.store.listMultiparts(`staging/${tenant}/`))).toBe(0);
  });

  describe('what an operator has to mend is store_unavailable, and says what it is', () => {
    const operations: Record<string, (store: ObjectStore) => Promise<unknown>> = {
      put: async (store) => store.put(newKey(), await randomSource(1000, 'refused')),
      head: (store) => store.head(newKey()),
      read: (store) => store.read(newKey()),
      freeze: (store) => store.freeze(newKey('staging'), newKey(), '"x"'),
      remove: (store) => store.remove(newKey()),
      list: (store) => count(store.list('files/')),
      createMultipart: (store) => store.createMultipart(newKey(), 'text/plain'),
      listParts: (store) => store.listParts(newKey(), v7()),
      completeMultipart: (store) => store.completeMultipart(newKey(), v7(), [{ partNumber: 1, etag: '"x"' }]),
      abortMultipart: (store) => store.abortMultipart(newKey(), v7()),
      listMultiparts: (store) => count(store.listMultiparts('staging/')),
    };
    const refused = async (connection: Partial<S3Options>, detail: RegExp): Promise<void> => {
      const wrong = await openS3Store(s3, 'windlass-missing', { connection, provision: false });
      for (const [operation, call] of Object.entries(operations)) {
        const error = await call(wrong.store).then(
          () => null,
          (failure: unknown) => failure,
        );
        expect({ operation, ...(error as object) }).toMatchObject({
          operation,
          code: 'store_unavailable',
          detail: expect.stringMatching(detail),
          retryAfter: 5,
        });
        expect(String(error)).not.toContain('not-the-secret');
      }
      await wrong.close();
    };

    test('a missing bucket', () => refused({}, /NoSuchBucket/));
    test('a wrong key', () => refused({ credentials: { ...s3, secretAccessKey: 'not-the-secret' } }, /SignatureDoesNotMatch/));
    test('a server that is no S3', async () => {
      const other = await serving((res) => res.writeHead(404, { 'Content-Type': 'text/html' }).end('<h1>Not here</h1>'));
      await refused({ endpoint: other.url }, /404/);
      other.close();
    });
    test('a server that says yes to everything', async () => {
      const other = await serving((res) => res.end('<html>Welcome</html>'));
      const wrong = await openS3Store(s3, BUCKET, { connection: { endpoint: other.url }, provision: false });
      const failure = { code: 'store_unavailable', detail: expect.stringMatching(/address may be wrong/) };
      await expect(wrong.store.head(newKey())).rejects.toMatchObject(failure);
      await expect(wrong.store.put(newKey(), await randomSource(1000, 'yes'))).rejects.toMatchObject(failure);
      await wrong.close();
      other.close();
    });
    test('a server that is not there', () => refused({ endpoint: 'http://127.0.0.1:1' }, /could not be reached/));
  });

  test('a reader that goes away frees its connection', async () => {
    const key = newKey();
    await opened.store.put(key, await randomSource(8 * MIB, 'reader'));
    const calling = new AbortController();
    const stream = await opened.store.read(key, undefined, calling.signal);
    if (!stream) throw new Error('there is nothing to read');
    const failed = once(stream, 'error');
    calling.abort();
    expect((await failed)[0]).toMatchObject({ name: 'AbortError' });
    await expect(opened.store.read(key, undefined, calling.signal)).rejects.toMatchObject({ name: 'AbortError' });
  });
});

async function count(items: AsyncIterable<unknown>): Promise<number> {
  let total = 0;
  for await (const _ of items) total += 1;
  return total;
}

async function serving(answer: (res: ServerResponse) => unknown) {
  const server = createServer((_, res) => answer(res));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}
