import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { diskKeyOf } from '../../src/core/keys.ts';
import { ApiClient, bodyOf } from '../support/api-client.ts';
import { storedFiles } from '../support/data-folder.ts';
import { eachOf } from '../support/each-of.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { RandomFile, sha256Of } from '../support/random-file.ts';
import { type RunningServer, runCommand } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { withServers } from './with-servers.ts';

const MIB = 1024 ** 2;
const KIB = 1024;
/** Far less than the file, far more than what streaming needs. */
const MOST_MEMORY = 100 * MIB;
const SPREAD = { DIRECT_PLACEMENT: 'rendezvous', LEASE_SECONDS: '2', ORPHAN_GRACE_SECONDS: '1', UPLOAD_IDLE_SECONDS: '1' };

withServers((servers) => {
  describe('a direct upload that belongs on another server', () => {
    let stack: Stack;
    /** Between the server that takes the uploads and the only one that keeps them. */
    let proxy: TcpProxy;
    let owner: RunningServer;
    let taker: RunningServer;
    let api: ApiClient;
    beforeAll(async () => {
      const port = await freePort();
      proxy = await TcpProxy.open(`http://127.0.0.1:${port}`);
      const DIRECT_MEMBERS = `api-0=${proxy.url.replace(/\/$/, '')}`;
      stack = await startStack(servers, { apis: 0, workers: 0, settings: { ...SPREAD, DIRECT_MEMBERS, RECONCILE_INTERVAL_SECONDS: '0' } });
      owner = await stack.startApi({ PORT: String(port), NODE_URL: `http://127.0.0.1:${port}` });
      taker = await stack.startApi();
      api = new ApiClient(taker.url);
    }, 60_000);
    afterAll(async () => {
      await stack[Symbol.asyncDispose]();
      await proxy.close();
    });

    const send = (file: RandomFile, init: RequestInit = bodyOf(file), query = '') =>
      api.send('POST', `/v1/uploads/direct${query}`, { ...init, headers: { 'Content-Type': 'application/octet-stream' } });
    const filesOf = (server: RunningServer): Promise<string[]> => storedFiles(server.dataDir);
    const nothingNew = (before: string[]): Promise<void> => eventually(async () => expect(await filesOf(owner)).toEqual(before));
    /** A body that does something when so many bytes of it have been taken. */
    const interrupted = (file: RandomFile, at: number, then: () => unknown): RequestInit => {
      async function* chunks(): AsyncGenerator<Uint8Array> {
        let size = 0;
        for (const chunk of file.chunks()) {
          yield chunk;
          if (size < at && size + chunk.length >= at) await then();
          size += chunk.length;
        }
      }
      return { body: chunks() as unknown as ReadableStream, duplex: 'half' } as RequestInit;
    };

    test('passes through 200 MiB that are not kept on the way, neither on disk nor in memory', async () => {
      const large = new RandomFile(200 * MIB, 'placement');
      await send(new RandomFile(MIB, 'warm'));
      const idle = await taker.peakMemory();
      const { status, body } = await send(large);
      expect([status, body.sha256, body.location?.node]).toEqual([201, await large.sha256(), 'api-0']);
      expect((await taker.peakMemory()) - idle).toBeLessThan(MOST_MEMORY);
      expect(await filesOf(taker)).toEqual([]);
      expect(await new ApiClient(owner.url).contentDigest(body.id)).toMatchObject({ status: 200, sha256: await large.sha256() });
      expect(await api.contentDigest(body.id)).toMatchObject({ status: 200, sha256: await large.sha256() });
      expect((await api.send('DELETE', `/v1/uploads/${body.id}`)).status).toBe(204);
    });

    test('is 503 when its server is lost on the way, and leaves nothing', async () => {
      const before = await filesOf(owner);
      const file = new RandomFile(20 * MIB, 'lost');
      const { status, body, headers } = await send(
        file,
        interrupted(file, 8 * MIB, () => proxy.cut()),
      );
      expect([status, body.code]).toEqual([503, 'node_unavailable']);
      expect(headers.get('Retry-After')).toMatch(/^\d+$/);
      await nothingNew(before);
    });

    test('leaves nothing when the client goes away, or said something else about its bytes', async () => {
      const before = await filesOf(owner);
      const file = new RandomFile(20 * MIB, 'gone');
      const leaving = new AbortController();
      const gone = send(file, { ...interrupted(file, 8 * MIB, () => leaving.abort()), signal: leaving.signal });
      await expect(gone).rejects.toThrow();
      await nothingNew(before);
      const { status, body } = await send(file, bodyOf(file), `?sha256=${sha256Of('something else')}`);
      expect([status, body.code]).toEqual([400, 'digest_mismatch']);
      await nothingNew(before);
    });

    test('is refused while no server can take it, and reading says why it cannot be read', async () => {
      const { body } = await send(new RandomFile(KIB, 'kept'));
      proxy.sever();
      const refused = await send(new RandomFile(KIB, 'refused'));
      expect([refused.status, refused.body.code]).toEqual([503, 'node_unavailable']);
      const read = await api.get(`/v1/uploads/${body.id}/content`);
      expect([read.status, read.body.code, read.headers.get('Retry-After')]).toEqual([503, 'node_unavailable', expect.any(String)]);
      proxy.mend();
      expect(await api.contentDigest(body.id)).toMatchObject({ status: 200, sha256: await new RandomFile(KIB, 'kept').sha256() });
      await eventually(async () => expect((await send(new RandomFile(KIB, 'taken again'))).status).toBe(201));
    });

    test('can be read by ranges, with the ETag of its bytes', async () => {
      const file = new RandomFile(MIB, 'range');
      const { body } = await send(file);
      const answer = await api.fetch(`/v1/uploads/${body.id}/content`, { headers: { Range: 'bytes=1000-1999' } });
      expect([answer.status, answer.headers.get('ETag')]).toEqual([206, `"${await file.sha256()}"`]);
      expect(Buffer.from(await answer.arrayBuffer())).toEqual(await file.bytes(1000, 2000));
    });
  });

  describe('three servers that become five, and then two', () => {
    const LEAVING = [0, 2, 4];
    const STAYING = [1, 3];
    let stack: Stack;
    const alive = new Set<RunningServer>();
    const acknowledged = new Map<string, string>();
    const broken: string[] = [];
    let loading = true;
    let sent = 0;
    let read = 0;
    beforeAll(async () => {
      const settings = {
        ...SPREAD,
        REBALANCE_INTERVAL_SECONDS: '1',
        REBALANCE_BYTES_PER_SECOND: '2MiB',
        RECONCILE_INTERVAL_SECONDS: '3',
        ORPHAN_GRACE_SECONDS: '5',
      };
      stack = await startStack(servers, { apis: 3, workers: 0, settings });
      for (const server of stack.apis) alive.add(server);
    }, 60_000);
    afterAll(() => stack[Symbol.asyncDispose]());

    const anyServer = (): ApiClient => new ApiClient([...alive][Math.floor(Math.random() * alive.size)]?.url ?? '');
    const windlass = async (args: string[]) => {
      const { code, stdout, stderr } = await runCommand(args, {
        ...stack.settings,
        NODE_NAME: 'operator',
        DATA_DIR: stack.apis[0]?.dataDir,
        REBALANCE_BYTES_PER_SECOND: '0',
      });
      return { code, stdout, stderr };
    };

    async function uploadOne(): Promise<void> {
      sent += 1;
      const file = new RandomFile(1 + ((sent * 7919) % (400 * KIB)), `placement ${sent}`);
      const answer = await anyServer()
        .raw('direct', new Uint8Array(await file.bytes()))
        .catch(() => null);
      if (answer?.status === 201) acknowledged.set(answer.body.id, await file.sha256());
      else if (answer && answer.status !== 503) broken.push(`upload: ${answer.status} ${answer.text}`);
    }

    /** A server that was killed keeps its files from being read for a while; nothing else may. */
    async function readOne(): Promise<void> {
      const ids = [...acknowledged.keys()];
      const id = ids[Math.floor(Math.random() * ids.length)];
      if (id === undefined) return;
      const answer = await anyServer()
        .fetch(`/v1/uploads/${id}/content`)
        .then(async (response) => ({ status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) }))
        .catch(() => null);
      if (!answer || answer.status === 503) return;
      read += 1;
      if (answer.status !== 200 || sha256Of(answer.bytes) !== acknowledged.get(id))
        broken.push(`read of ${id}: ${answer.status} ${Buffer.from(answer.bytes).toString().slice(0, 300)}`);
    }

    async function load(work: () => Promise<void>): Promise<void> {
      while (loading) {
        await work();
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    }

    /** As an upload leaves it behind whose record could not be written. */
    async function abandonFile(server: RunningServer): Promise<void> {
      const path = join(server.dataDir, 'direct', diskKeyOf('files', 'default', v7()));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, 'nobody needs this');
    }

    async function killAndRestart(index: number): Promise<void> {
      const victim = stack.apis[index] as RunningServer;
      alive.delete(victim);
      await victim.kill();
      alive.add(await stack.restart(victim));
    }

    const misplaced = async (): Promise<number> => {
      const { stdout, stderr } = await windlass(['rebalance', '--dry-run', '--json']);
      if (stdout === '') throw new Error(stderr);
      return (JSON.parse(stdout).nodes as { misplaced: number }[]).reduce((sum, node) => sum + node.misplaced, 0);
    };
    const settle = (): Promise<void> => eventually(async () => expect(await misplaced()).toBe(0), 120_000);
    const metric = async (server: RunningServer, line: RegExp): Promise<number> => {
      const text = await (await fetch(`${server.opsUrl}/metrics`)).text();
      return Number(line.exec(text)?.[1] ?? 0);
    };

    test('keep every file that they acknowledged, also when they are killed in the middle of moves', async () => {
      while (acknowledged.size < 60) await uploadOne();
      const running = [load(uploadOne), load(readOne), load(readOne)];
      for (let more = 0; more < 2; more += 1) alive.add(await stack.startApi());
      // Files are on their way to the new servers: killed are one that sends, and one that receives.
      await eventually(
        async () => expect(await metric(stack.apis[0] as RunningServer, /outcome="moved"\} (\d+)/)).toBeGreaterThan(0),
        30_000,
      );
      await killAndRestart(1);
      await killAndRestart(3);
      await settle();
      for (const index of LEAVING) {
        const leaving = stack.apis[index] as RunningServer;
        const draining = eventually(async () => expect(await windlass(['drain', `api-${index}`])).toMatchObject({ code: 0 }), 120_000);
        if (index === 2) await killAndRestart(1);
        await draining;
        alive.delete(leaving);
        await leaving.stop();
        await abandonFile(leaving);
      }
      loading = false;
      await Promise.all(running);
      await settle();

      expect(broken).toEqual([]);
      expect(read).toBeGreaterThan(0);
      expect([...acknowledged].length).toBeGreaterThan(60);
      const places = new Set<string | null | undefined>();
      await eachOf([...acknowledged], async ([id, sha256]) => {
        expect(await anyServer().contentDigest(id)).toMatchObject({ status: 200, sha256 });
        places.add((await anyServer().upload(id)).body.location?.node);
      });
      expect(places).toEqual(new Set(STAYING.map((index) => `api-${index}`)));
      // What killed processes left is gone after the grace period, and nothing else is. Servers that have stopped cannot
      // remove what was left there: the command does it.
      await eventually(async () => expect(await stack.audit(STAYING)).toEqual([]), 60_000);
      expect(await stack.audit(LEAVING)).not.toEqual([]);
      expect(await stack.reconcile({ ORPHAN_GRACE_SECONDS: '0' }, LEAVING)).toEqual([]);
      expect(await stack.audit()).toEqual([]);
      const kept = await Promise.all(STAYING.map((index) => storedFiles(stack.apis[index]?.dataDir ?? '')));
      // One that was recorded when its server was killed, before the answer went out, is there as well.
      expect(kept.flat().length).toBeGreaterThanOrEqual(acknowledged.size);
      await eachOf(kept.flat(), async (path) => {
        const { body } = await anyServer().upload(path.split('/').at(-1)?.slice(0, 36) ?? '');
        expect([body.state, `direct/${body.location?.key}`]).toEqual(['stored', path]);
      });
    }, 600_000);
  });
});
