import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Disk } from '../../../../src/ports/disk.ts';
import { describeDisk } from '../../../contract/disk.ts';
import { eventually } from '../../../support/eventually.ts';
import { freePort } from '../../../support/free-port.ts';
import { RandomFile } from '../../../support/random-file.ts';
import { newKey } from '../../../support/samples.ts';
import { PeerRig } from './peer-rig.ts';

const MIB = 1024 ** 2;
/** Larger than what the system buffers on the way. */
const file = new RandomFile(32 * MIB, 'remote');

/** The contract of disks: written where the disk is, read and removed by another server. */
describeDisk('of another server', async () => {
  const rig = await PeerRig.open();
  const { direct } = rig;
  const remote = rig.remote('direct');
  const disk: Disk = {
    create: (key, size) => direct.create(key, size),
    keys: (prefix) => direct.keys(prefix),
    sweepUnfinished: (before, remove) => direct.sweepUnfinished(before, remove),
    space: () => direct.space(),
    stat: (key) => remote.stat(key),
    read: (key, range) => remote.read(key, range),
    remove: (key) => remote.remove(key),
  };
  return { disk, close: () => rig.close() };
});

describe('the disk of another server', () => {
  let rig: PeerRig;
  beforeEach(async () => {
    rig = await PeerRig.open();
  });
  afterEach(() => rig.close());

  /** Reads to the end; `then` is called as the bytes go past each of the `marks`. */
  const taken = async (stream: Readable | null, marks: number[], then: () => void | Promise<void>): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of stream ?? []) {
      chunks.push(chunk as Buffer);
      size += chunk.length;
      while (marks[0] !== undefined && size >= marks[0]) {
        marks.shift();
        await then();
      }
    }
    return Buffer.concat(chunks);
  };
  const straight = async (): Promise<string> => rig.url;
  const unavailable = { code: 'node_unavailable', status: 503 };

  test('spool and direct files are two folders', async () => {
    const key = await rig.put(Buffer.from('spooled'), 'spool');
    expect(await rig.remote('direct').stat(key)).toBeNull();
    expect(await rig.remote('spool').stat(key)).toEqual(
      await rig.spool.stat(key).then((entry) => expect.objectContaining({ size: entry?.size })),
    );
    expect(await rig.remote('direct').remove(key)).toBe(false);
    expect(await rig.remote('spool').remove(key)).toBe(true);
    expect(await rig.spool.stat(key)).toBeNull();
  });

  test('a range that begins behind the end is empty, and one that is none is refused', async () => {
    const key = await rig.put(Buffer.from('0123456789'));
    const remote = rig.remote('direct');
    expect(await buffer((await remote.read(key, { start: 10, end: 20 })) as Readable)).toHaveLength(0);
    await expect(remote.read(key, { start: 3, end: 2 })).rejects.toThrow(RangeError);
    await expect(remote.read(key, { start: -1, end: 2 })).rejects.toThrow(RangeError);
    expect(await remote.read(newKey(), { start: 0, end: 2 })).toBeNull();
  });

  test('a transfer that is cut again and again is resumed where it was and comes out whole', async () => {
    const bytes = await file.bytes();
    const key = await rig.put(bytes);
    const marks = [2, 6, 10, 14, 18, 22].map((count) => count * MIB);
    const found = await taken(await rig.remote('direct').read(key), [...marks], () => rig.proxy.cut());
    expect(found.equals(bytes)).toBe(true);
    const [whole, ...rests] = rig.ranges();
    expect(whole).toBeUndefined();
    const starts = rests.map((range) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]));
    for (const mark of marks) expect(starts.some((start) => start >= mark && start < mark + 4 * MIB)).toBe(true);
    for (const range of rests) expect(range).toMatch(new RegExp(`-${bytes.length - 1}$`));
  });

  test('a range that is cut is resumed within itself', async () => {
    const bytes = await file.bytes();
    const key = await rig.put(bytes);
    const stream = await rig.remote('direct').read(key, { start: MIB, end: 20 * MIB });
    const found = await taken(stream, [2 * MIB], () => rig.proxy.cut());
    expect(found.equals(bytes.subarray(MIB, 20 * MIB + 1))).toBe(true);
    expect(rig.ranges().at(-1)).toMatch(new RegExp(`-${20 * MIB}$`));
  });

  test('a server that is away for a moment is waited for, at its new address', async () => {
    const bytes = await file.bytes();
    const key = await rig.put(bytes);
    const addresses = [rig.proxy.url, `http://127.0.0.1:${await freePort()}`, rig.url].map((url) => url.replace(/\/$/, ''));
    const remote = rig.remote('direct', { address: async () => (addresses.length > 1 ? addresses.shift() : addresses[0]) ?? '' });
    const found = await taken(await remote.read(key), [MIB], () => rig.proxy.sever());
    expect(found.equals(bytes)).toBe(true);
  });

  test('a server that never comes back ends the stream as unavailable, and every method before it begins', async () => {
    const key = await rig.put(await file.bytes());
    const remote = rig.remote('direct', { patienceMs: 200 });
    const stream = await remote.read(key);
    await expect(taken(stream, [MIB], () => rig.proxy.sever())).rejects.toMatchObject(unavailable);
    for (const attempt of [() => remote.stat(key), () => remote.read(key), () => remote.remove(key)])
      await expect(attempt()).rejects.toMatchObject(unavailable);
  });

  test('a server that takes connections and says nothing is unavailable too, before and in the middle', async () => {
    const key = await rig.put(await file.bytes());
    const remote = rig.remote('direct', { patienceMs: 1000 });
    const stream = await remote.read(key);
    await expect(taken(stream, [MIB], () => rig.proxy.hold())).rejects.toMatchObject(unavailable);
    await expect(remote.stat(key)).rejects.toMatchObject({ ...unavailable, retryAfter: expect.any(Number) });
  });

  test('a reader that takes its time is not taken for a server that is silent', async () => {
    const bytes = await file.bytes();
    const key = await rig.put(bytes);
    const stream = await rig.remote('direct', { patienceMs: 1000, address: straight }).read(key);
    const found = await taken(stream, [MIB], () => new Promise((resolve) => setTimeout(resolve, 1500)));
    expect(found.equals(bytes)).toBe(true);
    expect(rig.ranges()).toHaveLength(1);
  });

  test('a file that was written again meanwhile is not put together from both', async () => {
    const key = await rig.put(await file.bytes());
    const stream = await rig.remote('direct', { patienceMs: 100 }).read(key);
    const mixed = taken(stream, [MIB], async () => {
      const other = await rig.direct.create(key, file.size);
      await other.write([Buffer.alloc(file.size)]);
      await other.commit();
      rig.proxy.cut();
    });
    await expect(mixed).rejects.toMatchObject(unavailable);
  });

  test.each([
    ['after some bytes', async (stream: Readable) => void (await stream[Symbol.asyncIterator]().next())],
    ['before the first byte', async () => undefined],
  ])('a consumer that stops early, %s, closes the connection', async (_when, begin) => {
    const key = await rig.put(await file.bytes());
    const stream = (await rig.remote('direct', { address: straight }).read(key)) as Readable;
    await begin(stream);
    const closed = new Promise((resolve) => rig.seen[0]?.socket.once('close', resolve));
    stream.destroy();
    await closed;
  });

  test('a consumer that stops while the server is silent does not wait for it', async () => {
    await using silent = await otherServer((_request, response) => void response.writeHead(200, { 'Content-Length': 100 }).write('x'));
    const stream = (await silent.disk(60_000).read(newKey())) as Readable;
    await stream[Symbol.asyncIterator]().next();
    const closed = new Promise((resolve) => silent.sockets[0]?.once('close', resolve));
    stream.destroy();
    await closed;
  });

  test('bytes wait at the server, not here, while nobody takes them', async () => {
    const key = await rig.put(await file.bytes());
    const stream = (await rig.remote('direct', { address: straight }).read(key)) as Readable;
    await stream[Symbol.asyncIterator]().next();
    const { socket } = rig.seen[0] ?? {};
    let before = -1;
    await eventually(() => {
      const now = socket?.bytesWritten ?? 0;
      const still = now === before;
      before = now;
      expect(still).toBe(true);
    });
    // What lies between are the buffers of the system.
    expect(before).toBeLessThan(file.size);
    expect(stream.readableLength).toBeLessThanOrEqual(2 * MIB);
    stream.destroy();
  });

  test('a connection that was kept, and closed by the server as it was taken, is no failure', async () => {
    const known = new Set<Socket>();
    let closed = 0;
    await using closing = await otherServer(({ socket }, response) => {
      if (known.has(socket)) {
        closed += 1;
        socket.destroy();
      } else response.writeHead(204).end();
      known.add(socket);
    });
    const remote = closing.disk();
    while (closed === 0) {
      expect(await remote.remove(newKey())).toBe(true);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  test.each<[string, RequestListener]>([
    ['a page of unknown length', (_request, response) => void response.write('<html>')],
    ['a redirection', (_request, response) => void response.writeHead(302, { Location: '/login' }).end()],
    ['an error', (_request, response) => void response.writeHead(502).end()],
  ])('%s is not taken for a file', async (_what, listener) => {
    await using stranger = await otherServer(listener);
    const remote = stranger.disk();
    await expect(remote.read(newKey())).rejects.toMatchObject(unavailable);
    await expect(remote.stat(newKey())).rejects.toMatchObject(unavailable);
    await expect(remote.remove(newKey())).rejects.toMatchObject(unavailable);
  });

  test('an https address is spoken to as such: a server that has no TLS does not answer', async () => {
    const key = await rig.put(Buffer.from('x'));
    const address = async (): Promise<string> => rig.url.replace('http:', 'https:');
    await expect(rig.remote('direct', { address }).stat(key)).rejects.toMatchObject(unavailable);
    expect(rig.seen).toEqual([]);
  });

  /** A server that is not ours, or behaves as none of ours does. */
  async function otherServer(listener: RequestListener) {
    const server = createServer(listener);
    const sockets: Socket[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      sockets,
      disk: (patienceMs = 1000) => rig.remote('direct', { address: async () => url, patienceMs }),
      async [Symbol.asyncDispose]() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }
});
