import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BufferingProxy } from '../support/s3-buffering-proxy.ts';
import { randomSource } from '../support/s3-sources.ts';
import { contentOf, multipartsOf, type OpenedS3Store, openS3Store } from '../support/s3-store.ts';
import { newKey, PART_BYTES as PART } from '../support/samples.ts';
import { withServers } from './with-servers.ts';

const BUCKET = 'windlass-freeze';
const LIMITS = { singleCopyBytes: PART, copyPartBytes: PART };

withServers(({ s3 }) => {
  let opened: OpenedS3Store;
  let small: OpenedS3Store;
  beforeAll(async () => {
    opened = await openS3Store(s3, BUCKET);
    small = await openS3Store(s3, BUCKET, { store: { limits: LIMITS } });
  });
  afterAll(() => Promise.all([opened.close(), small.close()]));

  describe('freezing by parts', () => {
    test('copies a large object with its type', async () => {
      const [from, to] = [newKey('staging'), newKey()];
      const source = await randomSource(2 * PART + 999, 'copy');
      const { etag } = await opened.store.put(from, source);
      const frozen = await small.store.freeze(from, to, etag);
      expect(frozen).toMatchObject({ key: to, size: source.size, contentType: 'application/x-random' });
      expect(frozen?.etag).toMatch(/-3"$/);
      expect(await contentOf(opened.store, to)).toEqual({ size: source.size, sha256: source.sha256 });
      expect(await multipartsOf(opened.store, to)).toEqual([]);
    });

    test('from several sides at once makes one copy, and leaves no parts', async () => {
      const [from, to] = [newKey('staging'), newKey()];
      const source = await randomSource(PART + 1, 'copies');
      const { etag } = await opened.store.put(from, source);
      const copies = await Promise.all(Array.from({ length: 3 }, () => small.store.freeze(from, to, etag)));
      for (const copy of copies) expect(copy).toMatchObject({ key: to, size: source.size });
      expect(await multipartsOf(opened.store, to)).toEqual([]);
    });
  });

  describe.each([
    ['by one request', 1000],
    ['by parts', PART + 1],
  ])('freezing %s while others write', (_, size) => {
    const freezing = async (meanwhile: (from: string, to: string) => Promise<unknown>) => {
      const proxy = await BufferingProxy.to(s3.endpoint);
      const behind = await openS3Store(s3, BUCKET, { connection: { endpoint: proxy.url }, store: { limits: LIMITS } });
      const [from, to] = [newKey('staging'), newKey()];
      const { etag } = await opened.store.put(from, await randomSource(size, 'checked'));
      let done: Promise<unknown> | undefined;
      proxy.meanwhile = ({ headers }) => {
        if (headers['x-amz-copy-source']) done ??= meanwhile(from, to);
        return done;
      };
      const frozen = await behind.store.freeze(from, to, etag);
      expect(done).toBeDefined();
      expect(await multipartsOf(opened.store, to)).toEqual([]);
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
});
