import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { RandomFile } from '../support/random-file.ts';
import type { RunningServer } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { withServers } from './with-servers.ts';

const MIB = 1024 ** 2;

withServers((servers) => {
  describe('two servers with one drive for direct files', () => {
    let stack: Stack;
    let drive: string;
    let here: RunningServer;
    let there: RunningServer;
    beforeAll(async () => {
      drive = await mkdtemp(join(tmpdir(), 'windlass-drive-'));
      const settings = {
        DIRECT_PLACEMENT: 'shared',
        DIRECT_DIR: drive,
        RECONCILE_INTERVAL_SECONDS: '1',
        ORPHAN_GRACE_SECONDS: '0',
        UPLOAD_IDLE_SECONDS: '5',
        LEASE_SECONDS: '2',
      };
      stack = await startStack(servers, { apis: 2, workers: 0, settings });
      [here, there] = stack.apis as [RunningServer, RunningServer];
    }, 60_000);
    afterAll(async () => {
      await stack[Symbol.asyncDispose]();
      await rm(drive, { recursive: true, force: true, maxRetries: 5 });
    });

    const filesOnDrive = async (): Promise<string[]> =>
      (await readdir(drive, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name);

    test('any of them reads and removes what another took, also while that one is away', async () => {
      const file = new RandomFile(3 * MIB, 'shared');
      const { status, body } = await new ApiClient(here.url).raw('direct', new Uint8Array(await file.bytes()));
      expect([status, body.location]).toMatchObject([201, { store: 'disk', node: 'shared' }]);
      await here.kill();
      const other = new ApiClient(there.url);
      expect(await other.contentDigest(body.id)).toEqual({ status: 200, sha256: await file.sha256(), size: file.size });
      expect((await other.send('DELETE', `/v1/uploads/${body.id}`)).status).toBe(204);
      expect(await filesOnDrive()).toEqual([]);
      here = await stack.restart(here);
    });

    test('none sweeps away what another is still receiving', async () => {
      const bytes = Buffer.alloc(2 * MIB, 'x');
      let release: () => void = () => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      async function* slowly(): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, MIB);
        await held;
        yield bytes.subarray(MIB);
      }
      const sending = new ApiClient(here.url).send('POST', '/v1/uploads/direct', {
        headers: { 'Content-Type': 'application/octet-stream' },
        body: slowly() as unknown as ReadableStream,
        duplex: 'half',
      } as RequestInit);
      await eventually(async () => expect(await filesOnDrive()).toHaveLength(1));
      const runs = (server: RunningServer): number => server.log().filter(({ msg }) => msg === 'reconciled').length;
      const before = [here, there].map(runs);
      await eventually(() => expect([here, there].every((server, at) => runs(server) > (before[at] ?? 0) + 1)).toBe(true));
      release();
      const { status, body } = await sending;
      expect(status).toBe(201);
      expect(await new ApiClient(there.url).contentDigest(body.id)).toMatchObject({ status: 200, size: bytes.length });
    });

    test('bytes without a record are removed once, and the audit finds nothing', async () => {
      await eventually(async () => expect(await stack.audit()).toEqual([]));
    });
  });
});
