import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { StartedTestContainer } from 'testcontainers';
import { v7 } from 'uuid';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { randomSource } from '../support/s3-sources.ts';
import { type OpenedS3Store, openS3Store } from '../support/s3-store.ts';
import { newKey } from '../support/samples.ts';
import { Toxiproxy, type Way } from '../support/toxiproxy.ts';
import { startS3 } from './servers.ts';
import { withServers } from './with-servers.ts';

const MIB = 1024 ** 2;
const BUCKET = 'windlass-outage';
const UNAVAILABLE = { code: 'store_unavailable', retryAfter: 5 };

withServers(() => {
  let server: StartedTestContainer;
  let proxy: Toxiproxy;
  let way: Way;
  let opened: OpenedS3Store;
  let store: ObjectStore;

  beforeAll(async () => {
    const [started, toxiproxy] = await Promise.all([startS3(), Toxiproxy.start(1)]);
    server = started.container;
    proxy = toxiproxy;
    way = await proxy.lead('s3', { host: server.getIpAddress('bridge'), port: 9000 });
    const limits = { singlePutBytes: 20 * MIB, putPartBytes: 5 * MIB };
    // Short, so that the tests are; what they mean is the same.
    const timeouts = { connectMs: 500, answerMs: 1000, idleMs: 1000, workMs: 1500 };
    opened = await openS3Store({ ...started.s3, endpoint: `http://${way.address}` }, BUCKET, {
      connection: { timeouts },
      store: { limits },
    });
    store = opened.store;
  }, 60_000);
  const mend = async (): Promise<void> => {
    await way.cure();
    await way.mend();
  };
  /** Connections stay, but no answer arrives any more. */
  const silence = (): Promise<void> => way.poison({ type: 'timeout', attributes: { timeout: 0 } }, { stream: 'downstream' });
  afterEach(mend);
  afterAll(async () => {
    await opened.close();
    await Promise.all([proxy.stop(), server.stop({ timeout: 1 })]);
  });

  const left = async (key: string) => {
    return { object: await store.head(key), multiparts: await all(store.listMultiparts(key)) };
  };

  const operations: Record<string, () => Promise<unknown>> = {
    put: async () => store.put(newKey(), await randomSource(1000, 'outage')),
    head: () => store.head(newKey()),
    read: () => store.read(newKey()),
    freeze: () => store.freeze(newKey(), newKey(), '"x"'),
    remove: () => store.remove(newKey()),
    list: () => all(store.list('files/')),
    createMultipart: () => store.createMultipart(newKey(), 'text/plain'),
    listParts: () => store.listParts(newKey(), v7()),
    completeMultipart: () => store.completeMultipart(newKey(), v7(), [{ partNumber: 1, etag: '"x"' }]),
    abortMultipart: () => store.abortMultipart(newKey(), v7()),
    listMultiparts: () => all(store.listMultiparts('files/')),
    provision: () => opened.store.provision(),
  };

  test.each(Object.entries(operations))('%s on a store that is away, and on one that is silent, is store_unavailable', async (_, call) => {
    await way.sever();
    await expect(call()).rejects.toMatchObject(UNAVAILABLE);
    await mend();
    await silence();
    await expect(call()).rejects.toMatchObject(UNAVAILABLE);
  });

  test('signing needs no store', async () => {
    await way.sever();
    const link = await opened.presigner.get({ key: newKey(), filename: 'a', contentType: 'text/plain', expiresAt: Date.now() + 1000 });
    expect(link.url).toContain(way.address);
  });

  describe('a put', () => {
    /** A source that gives half of its bytes and then waits, so that the transfer is under way for certain. */
    const halfway = async (size: number, seed: string) => {
      const source = await randomSource(size, seed);
      const stream = new PassThrough();
      const first = await buffer(await source.open({ start: 0, end: size / 2 - 1 }));
      stream.write(first);
      const sent = once(stream, 'drain');
      return { source: { ...source, open: async () => stream }, stream, sent };
    };

    test('that the network cuts is store_unavailable, leaves nothing, and succeeds when tried again', async () => {
      const key = newKey();
      const { source, stream, sent } = await halfway(16 * MIB, 'cut');
      const put = store.put(key, source);
      const outcome = expect(put).rejects.toMatchObject(UNAVAILABLE);
      await sent;
      await way.sever();
      await outcome;
      expect(stream.destroyed).toBe(true);
      await mend();
      expect(await left(key)).toEqual({ object: null, multiparts: [] });
      expect(await store.put(key, await randomSource(16 * MIB, 'cut'))).toMatchObject({ size: 16 * MIB });
    });

    test('whose source stops giving bytes is given up', async () => {
      const key = newKey();
      const { source, stream } = await halfway(2 * MIB, 'stalled');
      await expect(store.put(key, source)).rejects.toMatchObject(UNAVAILABLE);
      expect(stream.destroyed).toBe(true);
      expect(await left(key)).toEqual({ object: null, multiparts: [] });
    });

    test('whose answer is lost has happened, and is not sent again', async () => {
      const key = newKey();
      const source = await randomSource(2 * MIB, 'lost answer');
      // Opened only after the look at the key has been answered.
      const open: typeof source.open = async (range) => {
        await silence();
        return source.open(range);
      };
      const put = store.put(key, { ...source, open });
      await expect(put).rejects.toMatchObject(UNAVAILABLE);
      await mend();
      expect(await store.put(key, source)).toMatchObject({ size: 2 * MIB, sha256: source.sha256 });
      expect(source.opened).toHaveLength(1);
    });

    test('in parts that the network cuts is store_unavailable, and the next try removes what is left', async () => {
      const key = newKey();
      const source = await randomSource(30 * MIB, 'parts cut');
      const put = store.put(key, {
        ...source,
        async open(range) {
          if (range && range.start > 15 * MIB) await way.sever();
          return source.open(range);
        },
      });
      await expect(put).rejects.toMatchObject(UNAVAILABLE);
      expect(source.streams.every((stream) => stream.destroyed)).toBe(true);
      await mend();
      const before = await left(key);
      expect(before.object).toBeNull();
      expect(before.multiparts).toHaveLength(1);
      expect(await store.put(key, source)).toMatchObject({ size: 30 * MIB });
      expect((await left(key)).multiparts).toEqual([]);
    });
  });

  test('reading that breaks off ends in store_unavailable, not in an early end', async () => {
    const key = newKey();
    await store.put(key, await randomSource(16 * MIB, 'read'));
    await way.poison({ type: 'limit_data', attributes: { bytes: 5 * MIB } }, { stream: 'downstream' });
    const stream = await store.read(key);
    await expect(buffer(stream as Readable)).rejects.toMatchObject(UNAVAILABLE);
  });

  test('reading from a store that falls silent ends in store_unavailable', async () => {
    const key = newKey();
    await store.put(key, await randomSource(16 * MIB, 'silent'));
    // Slowly, so that it goes on while the store falls silent.
    await way.poison({ type: 'bandwidth', attributes: { rate: 4000 } }, { stream: 'downstream' });
    const stream = await store.read(key);
    const begun = Promise.withResolvers<void>();
    const reading = (async () => {
      for await (const _ of stream ?? []) begun.resolve();
    })();
    const outcome = expect(reading).rejects.toMatchObject(UNAVAILABLE);
    await begun.promise;
    await silence();
    await outcome;
  });
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
