import { readdir, readlink } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient, bodyOf } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { digestOf, RandomFile, sha256Of } from '../support/random-file.ts';
import type { RunningServer } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { withServers } from './with-servers.ts';

const MIB = 1024 ** 2;
/** Far less than the file, far more than what streaming needs. */
const MOST_MEMORY = 100 * MIB;
const large = new RandomFile(200 * MIB, 'node-disks');

withServers((servers) => {
  describe('a server whose disk others read over the network', () => {
    let stack: Stack;
    /** Between the server that keeps the files and everybody else. */
    let proxy: TcpProxy;
    let keeper: RunningServer;
    let reader: RunningServer;
    beforeAll(async () => {
      stack = await startStack(servers, { apis: 0, workers: 0 });
      const port = await freePort();
      proxy = await TcpProxy.open(`http://127.0.0.1:${port}`);
      keeper = await stack.startApi({ PORT: String(port), NODE_URL: proxy.url.replace(/\/$/, '') });
      reader = await stack.startApi();
    }, 60_000);
    afterAll(async () => {
      await stack[Symbol.asyncDispose]();
      await proxy.close();
    });

    const keep = async (file: RandomFile): Promise<string> => {
      const sent = await new ApiClient(keeper.url).send('POST', '/v1/uploads/direct', {
        ...bodyOf(file),
        headers: { 'Content-Type': 'application/octet-stream' },
      });
      expect(sent.status).toBe(201);
      return sent.body.id;
    };
    const content = (id: string): Promise<Response> => new ApiClient(reader.url).fetch(`/v1/uploads/${id}/content`);

    test('200 MiB pass through the other server whole and are not held in memory, by a reader that is slow at first', async () => {
      const id = await keep(large);
      await (await content(await keep(new RandomFile(MIB, 'warm')))).arrayBuffer();
      const idle = await reader.peakMemory();
      const answer = await content(id);
      // Nobody reads: what has come waits where it was.
      await eventually(async () => expect(await settledMemory(reader)).toBe(true));
      const body = answer.body as unknown as AsyncIterable<Uint8Array>;
      expect(await digestOf(body)).toEqual({ size: large.size, sha256: await large.sha256() });
      expect((await reader.peakMemory()) - idle).toBeLessThan(MOST_MEMORY);
    });

    test('a client is not told of a connection that is cut between the servers', async () => {
      const id = await keep(large);
      const answer = await content(id);
      let size = 0;
      let cuts = 0;
      async function* watched(): AsyncGenerator<Uint8Array> {
        for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
          size += chunk.length;
          if (size > (cuts + 1) * 40 * MIB) {
            cuts += 1;
            proxy.cut();
          }
          yield chunk;
        }
      }
      expect(await digestOf(watched())).toEqual({ size: large.size, sha256: await large.sha256() });
      expect(cuts).toBe(4);
    });

    test('a client that goes away ends the transfer between the servers', async () => {
      const calling = new AbortController();
      const answer = await new ApiClient(reader.url).fetch(`/v1/uploads/${await keep(large)}/content`, { signal: calling.signal });
      expect(answer.status).toBe(200);
      expect(await openFiles(keeper)).toBe(1);
      calling.abort();
      await eventually(async () => expect(await openFiles(keeper)).toBe(0));
    });

    test('a server that is away is 503 with its reason; its files are back with it', async () => {
      const id = await keep(new RandomFile(MIB, 'away'));
      await keeper.kill();
      const away = await new ApiClient(reader.url).get(`/v1/uploads/${id}/content`);
      expect([away.status, away.body.code]).toEqual([503, 'node_unavailable']);
      expect(away.headers.get('Retry-After')).toMatch(/^\d+$/);
      expect(away.body.detail).not.toMatch(/127\.0\.0\.1|localhost|ECONN/);
      keeper = await stack.restart(keeper);
      expect(sha256Of(new Uint8Array(await (await content(id)).arrayBuffer()))).toBe(await new RandomFile(MIB, 'away').sha256());
    });

    test('a worker relays from a spool that is cut off again and again, by one attempt', async () => {
      const worker = await stack.startWorker();
      const bytes = new Uint8Array(await new RandomFile(20 * MIB, 'spool').bytes());
      const { body } = await new ApiClient(keeper.url).raw('relay', bytes);
      let cuts = 0;
      const cutting = setInterval(() => {
        cuts += 1;
        if (cuts <= 10) proxy.cut();
      }, 40);
      const done = await new ApiClient(reader.url).settled(body.id);
      clearInterval(cutting);
      expect(done).toMatchObject({ state: 'stored', sha256: sha256Of(bytes), attempts: 1 });
      await worker.stop();
    });

    test('nobody without the secret is answered, whatever the token', async () => {
      for (const headers of [{}, { Authorization: 'Bearer 0123456789abcdef' }, { Authorization: 'Windlass time=1, signature=none' }])
        for (const method of ['GET', 'DELETE']) {
          const { status, body } = await new ApiClient(keeper.url).send(method, '/internal/direct/files/a/b', { headers });
          expect([status, body.code]).toEqual([401, 'unauthorized']);
        }
    });
  });
});

let last = 0;
/** Whether a process has taken no more memory since it was last asked. */
async function settledMemory(server: RunningServer): Promise<boolean> {
  const now = await server.peakMemory();
  const settled = now === last;
  last = now;
  return settled;
}

/** Direct files that the server has open. */
async function openFiles(server: RunningServer): Promise<number> {
  const folder = `/proc/${server.pid}/fd`;
  const paths = await Promise.all((await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => '')));
  return paths.filter((path) => /\/direct\/files\/.*\/[0-9a-f-]{36}$/.test(path)).length;
}
