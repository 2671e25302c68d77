import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ByteRange } from '../../src/ports/disk.ts';
import type { ObjectSource, ObjectStore } from '../../src/ports/object-store.ts';
import { newKey, PART_BYTES } from '../support/samples.ts';

export interface OpenedStore {
  store: ObjectStore;
  /** Sends a part as a client does, with a signed link; its etag as the client sees it. */
  uploadPart(key: string, multipartId: string, partNumber: number, bytes: Buffer): Promise<string>;
  close(): Promise<void>;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const sourceOf = (bytes: Buffer, overrides: Partial<ObjectSource> = {}): ObjectSource => ({
  size: bytes.length,
  contentType: 'text/plain',
  sha256: sha256(bytes),
  open: async (range) => Readable.from([Buffer.from(bytes.subarray(range?.start ?? 0, range ? range.end + 1 : undefined))]),
  ...overrides,
});

/** What every ObjectStore does. Keys are new in each test, so that a shared bucket will do. */
export function describeObjectStore(name: string, open: () => Promise<OpenedStore>): void {
  describe(`object store contract: ${name}`, () => {
    let opened: OpenedStore;
    let store: ObjectStore;
    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(() => opened.close());

    const bytesOf = async (key: string, range?: ByteRange): Promise<Buffer | null> => {
      const stream = await store.read(key, range);
      return stream && (await buffer(stream));
    };
    const keys = async (prefix: string): Promise<string[]> => {
      const found: string[] = [];
      for await (const { key } of store.list(prefix)) found.push(key);
      return found.sort();
    };
    const multiparts = async (prefix: string): Promise<string[]> => {
      const found: string[] = [];
      for await (const { multipartId } of store.listMultiparts(prefix)) found.push(multipartId);
      return found;
    };

    test('what is put can be read, and is described', async () => {
      const key = newKey();
      const bytes = Buffer.from('hello world');
      const info = await store.put(key, sourceOf(bytes));
      expect(info).toMatchObject({ key, size: 11, contentType: 'text/plain' });
      expect([null, sha256(bytes)]).toContain(info.sha256);
      expect(await store.head(key)).toMatchObject({ key, size: 11, contentType: 'text/plain', etag: info.etag });
      expect((await bytesOf(key))?.toString()).toBe('hello world');
      expect((await bytesOf(key, { start: 4, end: 6 }))?.toString()).toBe('o w');
    });

    test('an empty object is an object', async () => {
      const key = newKey();
      await store.put(key, sourceOf(Buffer.alloc(0)));
      expect(await store.head(key)).toMatchObject({ size: 0 });
      expect(await bytesOf(key)).toHaveLength(0);
    });

    test('putting the same again changes nothing', async () => {
      const key = newKey();
      const first = await store.put(key, sourceOf(Buffer.from('same')));
      const second = await store.put(key, sourceOf(Buffer.from('same')));
      expect(second).toMatchObject({ size: 4, contentType: 'text/plain' });
      expect(await store.head(key)).toMatchObject({ size: 4, etag: second.etag });
      expect(first.size).toBe(4);
    });

    test('other bytes get another etag', async () => {
      const key = newKey();
      const first = await store.put(key, sourceOf(Buffer.from('one')));
      const second = await store.put(key, sourceOf(Buffer.from('two')));
      expect(second.etag).not.toBe(first.etag);
      expect((await bytesOf(key))?.toString()).toBe('two');
    });

    test('bytes that are not the declared ones are digest_mismatch, and nothing is there', async () => {
      const key = newKey();
      await expect(store.put(key, sourceOf(Buffer.from('these'), { sha256: sha256(Buffer.from('those')) }))).rejects.toMatchObject({
        code: 'digest_mismatch',
      });
      expect(await store.head(key)).toBeNull();
    });

    test('a source that breaks off may pass: store_unavailable, nothing is there, and a second try succeeds', async () => {
      const key = newKey();
      const bytes = Buffer.alloc(300_000, 'x');
      const broken = async function* (): AsyncIterable<Buffer> {
        yield bytes.subarray(0, 100_000);
        throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
      };
      await expect(store.put(key, sourceOf(bytes, { open: async () => Readable.from(broken()) }))).rejects.toMatchObject({
        code: 'store_unavailable',
      });
      expect(await store.head(key)).toBeNull();
      expect(await store.put(key, sourceOf(bytes))).toMatchObject({ size: 300_000 });
    });

    test('a put that is called off leaves nothing', async () => {
      const key = newKey();
      const calling = new AbortController();
      const source = sourceOf(Buffer.alloc(10), {
        open: async () =>
          new Readable({
            read() {
              this.push(Buffer.alloc(5));
              calling.abort();
            },
          }),
      });
      await expect(store.put(key, source, calling.signal)).rejects.toMatchObject({ name: 'AbortError' });
      expect(await store.head(key)).toBeNull();
    });

    test('what is not there is null', async () => {
      expect(await store.head(newKey())).toBeNull();
      expect(await store.read(newKey())).toBeNull();
    });

    test('removing is idempotent', async () => {
      const key = newKey();
      await store.put(key, sourceOf(Buffer.from('x')));
      await store.remove(key);
      await store.remove(key);
      expect(await store.head(key)).toBeNull();
    });

    test('lists by prefix', async () => {
      const tenant = `t${Date.now()}`;
      const [one, two] = [newKey('files', tenant), newKey('staging', tenant)];
      await store.put(one, sourceOf(Buffer.from('x')));
      await store.put(two, sourceOf(Buffer.from('y')));
      expect(await keys(`files/${tenant}/`)).toEqual([one]);
      expect(await keys(`staging/${tenant}/`)).toEqual([two]);
      for await (const info of store.list(one)) expect(info).toMatchObject({ key: one, size: 1, etag: (await store.head(one))?.etag });
    });

    describe('freeze', () => {
      test('copies the object with its type', async () => {
        const [from, to] = [newKey('staging'), newKey()];
        const { etag } = await store.put(from, sourceOf(Buffer.from('checked')));
        expect(await store.freeze(from, to, etag)).toMatchObject({ key: to, size: 7, contentType: 'text/plain' });
        expect((await bytesOf(to))?.toString()).toBe('checked');
        expect((await bytesOf(from))?.toString()).toBe('checked');
      });

      test('neither writing nor removing the original changes the copy', async () => {
        const [from, to] = [newKey('staging'), newKey()];
        const { etag } = await store.put(from, sourceOf(Buffer.from('checked')));
        const frozen = await store.freeze(from, to, etag);
        await store.put(from, sourceOf(Buffer.from('swapped'), { contentType: 'text/html' }));
        expect((await bytesOf(to))?.toString()).toBe('checked');
        await store.remove(from);
        expect((await bytesOf(to))?.toString()).toBe('checked');
        expect(await store.head(to)).toMatchObject({ etag: frozen?.etag, contentType: 'text/plain' });
      });

      test('is null when the object is gone or has changed', async () => {
        const [from, to] = [newKey('staging'), newKey()];
        const { etag } = await store.put(from, sourceOf(Buffer.from('checked')));
        await store.put(from, sourceOf(Buffer.from('swapped')));
        expect(await store.freeze(from, to, etag)).toBeNull();
        expect(await store.freeze(newKey('staging'), to, etag)).toBeNull();
        expect(await store.head(to)).toBeNull();
      });

      test('the first copy wins, also when the original is gone', async () => {
        const [from, to] = [newKey('staging'), newKey()];
        const first = await store.put(from, sourceOf(Buffer.from('first')));
        const frozen = await store.freeze(from, to, first.etag);
        const second = await store.put(from, sourceOf(Buffer.from('second')));
        expect(await store.freeze(from, to, second.etag)).toMatchObject({ etag: frozen?.etag });
        await store.remove(from);
        expect(await store.freeze(from, to, first.etag)).toMatchObject({ etag: frozen?.etag });
        expect((await bytesOf(to))?.toString()).toBe('first');
      });

      test('at the same time from several sides makes one copy', async () => {
        const [from, to] = [newKey('staging'), newKey()];
        const { etag } = await store.put(from, sourceOf(Buffer.from('once')));
        const copies = await Promise.all(Array.from({ length: 5 }, () => store.freeze(from, to, etag)));
        for (const copy of copies) expect(copy).toMatchObject({ key: to, size: 4 });
        expect((await bytesOf(to))?.toString()).toBe('once');
      });
    });

    describe('multipart', () => {
      const [one, two, other] = [Buffer.alloc(PART_BYTES, '1'), Buffer.from('the second'), Buffer.alloc(PART_BYTES, 'o')];

      test('puts the parts together in the order of their numbers', async () => {
        const key = newKey('staging');
        const id = await store.createMultipart(key, 'video/mp4');
        const second = await opened.uploadPart(key, id, 2, two);
        const first = await opened.uploadPart(key, id, 1, one);
        expect((await store.listParts(key, id))?.map(({ partNumber, size }) => [partNumber, size])).toEqual([
          [1, one.length],
          [2, two.length],
        ]);
        await store.completeMultipart(key, id, [
          { partNumber: 1, etag: first },
          { partNumber: 2, etag: second },
        ]);
        const whole = Buffer.concat([one, two]);
        const info = await store.head(key);
        expect(info).toMatchObject({ size: whole.length, contentType: 'video/mp4' });
        expect([null, sha256(whole)]).toContain(info?.sha256);
        expect((await bytesOf(key))?.equals(whole)).toBe(true);
        expect(await store.listParts(key, id)).toBeNull();
        expect(await multiparts(key)).toEqual([]);
        await store.remove(key);
      });

      test('lists the etags that the client was told, and takes them', async () => {
        const key = newKey('staging');
        const id = await store.createMultipart(key, 'video/mp4');
        const etag = await opened.uploadPart(key, id, 1, two);
        const listed = (await store.listParts(key, id)) ?? [];
        expect(listed).toMatchObject([{ partNumber: 1, etag, size: two.length }]);
        await store.completeMultipart(key, id, listed);
        expect((await bytesOf(key))?.equals(two)).toBe(true);
        await store.remove(key);
      });

      test('a part that is sent again replaces the earlier one', async () => {
        const key = newKey('staging');
        const id = await store.createMultipart(key, 'video/mp4');
        const earlier = await opened.uploadPart(key, id, 1, one);
        const later = await opened.uploadPart(key, id, 1, other);
        await expect(store.completeMultipart(key, id, [{ partNumber: 1, etag: earlier }])).rejects.toMatchObject({ code: 'not_uploaded' });
        expect(await store.head(key)).toBeNull();
        await store.completeMultipart(key, id, [{ partNumber: 1, etag: later }]);
        expect((await bytesOf(key))?.equals(other)).toBe(true);
        await store.remove(key);
      });

      test('a missing part is not_uploaded, and the parts stay', async () => {
        const key = newKey('staging');
        const id = await store.createMultipart(key, 'video/mp4');
        const first = await opened.uploadPart(key, id, 1, one);
        const parts = [
          { partNumber: 1, etag: first },
          { partNumber: 2, etag: first },
        ];
        await expect(store.completeMultipart(key, id, parts)).rejects.toMatchObject({ code: 'not_uploaded' });
        expect(await store.listParts(key, id)).toHaveLength(1);
        await store.abortMultipart(key, id);
      });

      test('is listed while it is open, and gone once it is aborted', async () => {
        const key = newKey('staging');
        const id = await store.createMultipart(key, 'video/mp4');
        expect(await multiparts(key)).toEqual([id]);
        expect(await store.listParts(key, id)).toEqual([]);
        await store.abortMultipart(key, id);
        await store.abortMultipart(key, id);
        expect(await multiparts(key)).toEqual([]);
        expect(await store.listParts(key, id)).toBeNull();
        await expect(store.completeMultipart(key, id, [{ partNumber: 1, etag: 'x' }])).rejects.toMatchObject({ code: 'not_uploaded' });
        expect(await store.head(key)).toBeNull();
      });

      test('completing and aborting at the same time ends in one or the other', async () => {
        const key = newKey('staging');
        const id = await store.createMultipart(key, 'video/mp4');
        const etag = await opened.uploadPart(key, id, 1, one);
        const [completed] = await Promise.allSettled([
          store.completeMultipart(key, id, [{ partNumber: 1, etag }]),
          store.abortMultipart(key, id),
        ]);
        const bytes = await bytesOf(key);
        expect(bytes === null ? 'rejected' : 'fulfilled').toBe(completed.status);
        if (bytes) expect(bytes.equals(one)).toBe(true);
        expect(await store.listParts(key, id)).toBeNull();
        await store.remove(key);
      });
    });
  });
}
