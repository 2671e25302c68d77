import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import type { S3Options } from '../../src/adapters/object-store/s3/connection.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { randomSource } from '../support/s3-sources.ts';
import { type OpenedS3Store, openS3Store } from '../support/s3-store.ts';
import { newKey } from '../support/samples.ts';
import { withServers } from './with-servers.ts';

const MIB = 1024 ** 2;
const BUCKET = 'windlass-store';

withServers(({ s3 }) => {
  let opened: OpenedS3Store;
  beforeAll(async () => {
    opened = await openS3Store(s3, BUCKET);
  });
  afterAll(() => opened.close());

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
