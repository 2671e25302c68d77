import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { backupKeyOf } from '../../src/core/keys.ts';
import { ApiClient, bodyOf } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { RandomFile } from '../support/random-file.ts';
import { type RunningServer, runCommand } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { withServers } from './with-servers.ts';

const KIB = 1024;
const SETTINGS = { DIRECT_PLACEMENT: 'rendezvous', LEASE_SECONDS: '2', ORPHAN_GRACE_SECONDS: '1', RECONCILE_INTERVAL_SECONDS: '1' };

withServers((servers) => {
  let stack: Stack;
  let files: Map<string, RandomFile>;
  beforeEach(async () => {
    stack = await startStack(servers, { apis: 2, workers: 0, settings: { ...SETTINGS, DIRECT_BACKUP: 'true' } });
    files = new Map();
  }, 60_000);
  afterEach(() => stack[Symbol.asyncDispose]());

  const api = (index: number): ApiClient => new ApiClient(stack.apis[index]?.url ?? '');
  const operator = (args: string[], settings = {}) =>
    runCommand(args, { ...stack.settings, NODE_NAME: 'operator', DATA_DIR: stack.apis[0]?.dataDir, ...settings });

  async function upload(count: number, bytes = (index: number) => 1 + ((index * 7919) % (300 * KIB))): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      const file = new RandomFile(bytes(index), `backup ${files.size}`);
      const headers = { 'Content-Type': 'application/octet-stream' };
      const { status, body } = await api(index % 2).send('POST', '/v1/uploads/direct', { ...bodyOf(file), headers });
      expect([status, body.state]).toEqual([201, 'stored']);
      files.set(body.id, file);
    }
  }

  async function withoutBackup(): Promise<number> {
    const { stdout, stderr } = await operator(['backup', '--dry-run', '--json']);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout).missing;
  }
  const allBackedUp = (): Promise<void> => eventually(async () => expect(await withoutBackup()).toBe(0), 60_000);

  test('every file outlives its server: workers that are killed leave no gap, and what is read is what was sent', async () => {
    await upload(16);
    expect(await withoutBackup()).toBe(16);
    const worker = await stack.startWorker();
    // In the middle of it, most likely.
    await eventually(async () => expect(await withoutBackup()).toBeLessThan(16), 30_000);
    await worker.kill();
    await upload(4);
    await stack.startWorker();
    await allBackedUp();

    const lost = stack.apis[1] as RunningServer;
    await lost.kill();
    const places = new Set<string | null | undefined>();
    for (const [id, file] of files) {
      expect(await api(0).contentDigest(id)).toMatchObject({ status: 200, sha256: await file.sha256() });
      const [first] = await file.bytes(0, 1);
      const ranged = await api(0).fetch(`/v1/uploads/${id}/content`, { headers: { Range: 'bytes=0-0' } });
      expect([ranged.status, ranged.headers.get('ETag')]).toEqual([206, `"${await file.sha256()}"`]);
      expect(new Uint8Array(await ranged.arrayBuffer())).toEqual(Uint8Array.of(first as number));
      places.add((await api(0).upload(id)).body.location?.node);
    }
    expect(places).toEqual(new Set(['api-0', 'api-1']));

    // Deleted while its server is away, a file is gone there once that is back.
    const [deleted] = [...files.keys()];
    expect((await api(0).send('DELETE', `/v1/uploads/${deleted}`)).status).toBe(204);
    stack.apis[1] = await stack.restart(lost);
    await eventually(async () => expect(await stack.audit()).toEqual([]), 60_000);
  }, 240_000);

  test('windlass backup catches up with older files, and makes again what the store has lost', async () => {
    const older = await stack.restart(await stopped(stack.apis[0] as RunningServer), { DIRECT_BACKUP: 'false' });
    for (const seed of ['old 1', 'old 2', 'old 3']) {
      const file = new RandomFile(50 * KIB, seed);
      const headers = { 'Content-Type': 'application/octet-stream' };
      files.set((await new ApiClient(older.url).send('POST', '/v1/uploads/direct', { ...bodyOf(file), headers })).body.id, file);
    }
    const dry = await operator(['backup', '--dry-run']);
    expect([dry.code, dry.stdout]).toEqual([0, '3 direct files looked at, 3 (150.0 KiB) without a backup; dry run: nothing was copied\n']);
    const first = await operator(['backup', '--json']);
    expect([first.code, JSON.parse(first.stdout)]).toEqual([0, expect.objectContaining({ checked: 3, missing: 3, made: 3, failed: 0 })]);
    expect(JSON.parse((await operator(['backup', '--json'])).stdout)).toMatchObject({ checked: 3, missing: 0, made: 0 });

    const [gone = ''] = [...files.keys()];
    const { S3Client, DeleteObjectCommand } = await import('@aws-sdk/client-s3');
    const credentials = { accessKeyId: servers.s3.accessKeyId, secretAccessKey: servers.s3.secretAccessKey };
    const s3 = new S3Client({ endpoint: servers.s3.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
    const { S3_BUCKET } = stack.settings;
    const tenant = (await api(1).upload(gone)).body.location?.key.split('/')[1] ?? '';
    await s3.send(new DeleteObjectCommand({ Bucket: S3_BUCKET, Key: backupKeyOf({ tenant, id: gone }) }));
    s3.destroy();
    const found = await stack.audit();
    expect(found).toContainEqual(expect.objectContaining({ kind: 'backup_missing', subject: gone }));
    expect(JSON.parse((await operator(['backup', '--check', '--json'])).stdout)).toMatchObject({ checked: 3, missing: 1, made: 1 });
    await eventually(async () => expect(await stack.audit()).toEqual([]), 30_000);
  }, 240_000);

  async function stopped(server: RunningServer): Promise<RunningServer> {
    await server.stop();
    return server;
  }
});
