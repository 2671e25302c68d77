import { createServer, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { sealOf, signRequest } from '../../../../src/adapters/node-disks/signature.ts';
import { listen } from '../../../../src/http/server.ts';
import type { DiskFile } from '../../../../src/ports/disk.ts';
import { eventually } from '../../../support/eventually.ts';
import { bytesOf } from '../../../support/platform.ts';
import { RandomFile, sha256Of } from '../../../support/random-file.ts';
import { newKey } from '../../../support/samples.ts';
import { MOST_AT_ONCE, NODE, PeerRig, SECRET } from './peer-rig.ts';

const MIB = 1024 ** 2;
const file = new RandomFile(12 * MIB + 17, 'remote file');
const unavailable = { code: 'node_unavailable', status: 503, retryAfter: expect.any(Number) };

let rig: PeerRig;
beforeEach(async () => {
  rig = await PeerRig.open();
});
afterEach(() => rig.close());

async function writeAll(remote: DiskFile, from = file): Promise<void> {
  for (const chunk of from.chunks()) await remote.write([chunk]);
}
const nothingIsLeft = (): Promise<void> => eventually(async () => expect(await rig.directFiles()).toEqual([]));

describe('a file on the disk of another server', () => {
  test('is there once it is committed, and not before', async () => {
    const key = newKey();
    const remote = await rig.remote('direct').create(key, file.size);
    await writeAll(remote);
    expect(remote.size).toBe(file.size);
    expect(await rig.direct.stat(key)).toBeNull();
    await remote.commit(await file.sha256());
    await remote.discard();
    expect(sha256Of((await bytesOf(await rig.direct.read(key))) ?? '')).toBe(await file.sha256());
    expect(await rig.directFiles()).toHaveLength(1);
  });

  test.each([0, 1, 31, 32, 33, 64, 1000])('of %d bytes is the same there, in whatever pieces it comes', async (size) => {
    const small = await new RandomFile(size, `small ${size}`).bytes();
    for (const step of [1, 7, 32, 1000]) {
      const key = newKey();
      const remote = await rig.remote('direct').create(key, null);
      for (let at = 0; at < size; at += step) await remote.write([small.subarray(at, at + step), new Uint8Array(0)]);
      await remote.commit(sha256Of(small));
      expect(sha256Of((await bytesOf(await rig.direct.read(key))) ?? '')).toBe(sha256Of(small));
    }
  });

  test('leaves nothing when it is discarded', async () => {
    const remote = await rig.remote('direct').create(newKey(), null);
    await writeAll(remote);
    await remote.discard();
    await remote.discard();
    await nothingIsLeft();
    await expect(remote.write([Buffer.from('x')])).rejects.toThrow();
  });

  test('leaves nothing when the connection is cut on the way, and says so', async () => {
    const remote = await rig.remote('direct').create(newKey(), null);
    await remote.write([await file.bytes(0, MIB)]);
    rig.proxy.cut();
    await expect(writeAll(remote)).rejects.toMatchObject(unavailable);
    await expect(remote.commit(await file.sha256())).rejects.toMatchObject(unavailable);
    await remote.discard();
    await nothingIsLeft();
  });

  test('leaves nothing when other bytes arrived than were sent', async () => {
    const remote = await rig.remote('direct').create(newKey(), null);
    await writeAll(remote);
    await expect(remote.commit(sha256Of('something else'))).rejects.toMatchObject(unavailable);
    await nothingIsLeft();
  });

  test('is not sent faster than the other server takes it', async () => {
    const remote = await rig.remote('direct').create(newKey(), null);
    rig.proxy.hold();
    let written = 0;
    const writing = (async () => {
      for (let at = 0; at < 8; at += 1) {
        for (const chunk of file.chunks(0, 4 * MIB)) await remote.write([chunk]);
        written += 1;
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(written).toBeLessThan(8);
    rig.proxy.mend();
    await writing;
    expect(remote.size).toBe(32 * MIB);
    await remote.discard();
  });

  test('fails when the other server takes nothing any more', async () => {
    const remote = await rig.remote('direct', { patienceMs: 500 }).create(newKey(), null);
    rig.proxy.hold();
    await expect(
      (async () => {
        for (;;) await remote.write([Buffer.alloc(MIB)]);
      })(),
    ).rejects.toMatchObject(unavailable);
    rig.proxy.mend();
    await nothingIsLeft();
  });

  test('is not begun where there is no room', async () => {
    await using full = Object.assign(await PeerRig.open({ minFreeBytes: 2 ** 52 }), { [Symbol.asyncDispose]: () => full.close() });
    await expect(full.remote('direct').create(newKey(), 5)).rejects.toMatchObject({ code: 'spool_full', status: 507 });
    expect(await full.directFiles()).toEqual([]);
  });

  test('is not begun with a server that receives as many as it can, until one of them has ended', async () => {
    const begun = await Promise.all(Array.from({ length: MOST_AT_ONCE }, () => rig.remote('direct').create(newKey(), null)));
    await expect(rig.remote('direct').create(newKey(), null)).rejects.toMatchObject(unavailable);
    await begun[0]?.commit(sha256Of(''));
    await begun[1]?.discard();
    for (const one of [await rig.remote('direct').create(newKey(), null), begun[2]]) await one?.commit(sha256Of(''));
    await eventually(async () => expect(await rig.directFiles()).toHaveLength(3));
  });

  test('is not begun with a server that is away, or whose answer does not come', async () => {
    await expect(rig.remote('direct', { address: async () => 'http://127.0.0.1:1' }).create(newKey(), 5)).rejects.toMatchObject(
      unavailable,
    );
    rig.proxy.hold();
    await expect(rig.remote('direct', { patienceMs: 50 }).create(newKey(), 5)).rejects.toMatchObject(unavailable);
  });

  test('is not begun with a server that cannot take any: one of the release before', async () => {
    const seen: string[] = [];
    const server = createServer();
    server.on('checkContinue', (asked, answer) => {
      seen.push(asked.method ?? '');
      answer.writeHead(405).end();
    });
    const url = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
    try {
      await expect(rig.remote('direct', { address: async () => url }).create(newKey(), 5)).rejects.toMatchObject(unavailable);
      expect(seen).toEqual(['PUT']);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('uses connections again, also such as the other side has closed meanwhile', async () => {
    for (let round = 0; round < 3; round += 1) {
      const remote = await rig.remote('direct').create(newKey(), 1);
      await remote.write([Buffer.from('x')]);
      await remote.commit(sha256Of('x'));
      rig.proxy.cut();
    }
    expect(await rig.directFiles()).toHaveLength(3);
  });
});

describe('what is sent by somebody who only listened', () => {
  /** Sends a body under a signature that was made for another. */
  async function put(path: string, authorization: string, body: Buffer): Promise<{ status: number; body: string }> {
    const { hostname, port } = new URL(rig.url);
    const sending = request({ hostname, port, method: 'PUT', path, headers: { Authorization: authorization } });
    sending.end(body);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => sending.on('response', resolve).on('error', reject));
    return { status: answer.statusCode ?? 0, body: await text(answer) };
  }
  const bytes = Buffer.from('the bytes of a client');

  test('is taken only with the seal of its very bytes under its very signature', async () => {
    const key = newKey();
    const path = `/internal/direct/${key}`;
    const signed = (time = Date.now(), at = path) => signRequest(SECRET, { node: NODE, method: 'PUT', path: at }, time);
    const authorization = signed();
    const seal = sealOf(SECRET, authorization, sha256Of(bytes));
    const refused: [string, string, Buffer][] = [
      ['no seal', authorization, bytes],
      ['nothing', authorization, Buffer.alloc(0)],
      ['less than a seal', authorization, seal.subarray(1)],
      ['other bytes', authorization, Buffer.concat([Buffer.from('The bytes of a client'), seal])],
      ['fewer bytes', authorization, Buffer.concat([bytes.subarray(1), seal])],
      ['more behind', authorization, Buffer.concat([bytes, seal, Buffer.from('x')])],
      ['a seal of another secret', authorization, Buffer.concat([bytes, sealOf(`${SECRET}.`, authorization, sha256Of(bytes))])],
      ['a seal of an earlier request', signed(Date.now() - 1000), Buffer.concat([bytes, seal])],
    ];
    for (const [what, header, body] of refused) expect([what, (await put(path, header, body)).status]).toEqual([what, 400]);
    const other = `/internal/direct/${newKey()}`;
    for (const [header, status] of [
      [authorization, 401],
      [signed(Date.now(), other), 400],
    ] as const)
      expect((await put(other, header, Buffer.concat([bytes, seal]))).status).toBe(status);
    expect(await rig.directFiles()).toEqual([]);
    expect((await put(path, authorization, Buffer.concat([bytes, seal]))).status).toBe(201);
    expect(await bytesOf(await rig.direct.read(key))).toEqual(bytes);
  });
});
