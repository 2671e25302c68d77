import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { backupKeyOf } from '../../src/core/keys.ts';
import type { Upload } from '../../src/core/upload.ts';
import { WindlassError } from '../../src/errors.ts';
import type { NodeDisk, NodeDisks } from '../../src/ports/node-disks.ts';
import { BackupJob } from '../../src/relay/backup-job.ts';
import { sha256Of } from '../support/random-file.ts';
import { startUploadServer, type UploadServer } from '../support/upload-server.ts';

const HELLO = '0123456789';
const ETAG = `"${sha256Of(HELLO)}"`;
let server: UploadServer;
let away: boolean;
let upload: Upload;

/** The server's own disk as if it were another's, which may not answer. */
function reached(disks: NodeDisks): NodeDisks {
  const answering = <D extends NodeDisk>(disk: D): D =>
    new Proxy(disk, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        if (away) return () => Promise.reject(new WindlassError('node_unavailable', 'away', { retryAfter: 5 }));
        return method.bind(target);
      },
    });
  return { spoolOf: (node) => disks.spoolOf(node), directOf: (node) => answering(disks.directOf(node)) };
}

beforeEach(async () => {
  away = false;
  server = await startUploadServer({ DIRECT_BACKUP: 'true' }, ({ disks }) => ({ disks: reached(disks) }));
  const { id } = (await server.api.raw('direct', HELLO, { type: 'text/plain' })).body;
  upload = (await server.platform.uploads.find(id)) as Upload;
});
afterEach(() => server.close());

const backUp = () =>
  new BackupJob({ ...server.platform, ledger: server.ledger }).run({ uploadId: upload.id }, { signal: new AbortController().signal });
const read = (headers: Record<string, string> = {}) => server.api.get(`/v1/uploads/${upload.id}/content`, headers);
const pathOnDisk = (): string => join(server.platform.config.DIRECT_DIR, upload.location?.key ?? '');
const readsFromBackup = async (): Promise<number> => (await server.platform.metrics.backupReads.get()).values[0]?.value ?? 0;

test('clients are not told of the backup', async () => {
  await backUp();
  const { status, body } = await server.api.get(`/v1/uploads/${upload.id}/content`, { Range: 'bytes=99-' });
  expect([status, JSON.stringify(body)]).toEqual([416, expect.not.stringContaining('backups')]);
});

test('while the server that has the file is away it is 503 before the backup is made, and then as it always was', async () => {
  const before = await read();
  away = true;
  const refused = await read();
  expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([503, 'node_unavailable', '5']);
  away = false;
  expect(await backUp()).toEqual({ outcome: 'done' });
  expect([(await read()).text, await readsFromBackup()]).toEqual([HELLO, 0]);
  away = true;
  const after = await read();
  expect([after.status, after.text]).toEqual([200, HELLO]);
  const named = [
    'etag',
    'repr-digest',
    'content-type',
    'content-length',
    'content-disposition',
    'cache-control',
    'last-modified',
    'accept-ranges',
  ];
  for (const name of named) expect([name, after.headers.get(name)]).toEqual([name, before.headers.get(name)]);
  expect(await read({ Range: 'bytes=2-4', 'If-Range': ETAG })).toMatchObject({ status: 206, text: '234' });
  expect((await read({ 'If-None-Match': ETAG })).status).toBe(304);
  expect(await readsFromBackup()).toBe(2);
});

test('bytes that are not there, or not all of them, are read from the backup', async () => {
  await backUp();
  await writeFile(pathOnDisk(), HELLO.slice(0, 4));
  expect(await read()).toMatchObject({ status: 200, text: HELLO });
  await server.platform.direct.remove(upload.location?.key ?? '');
  expect(await read({ Range: 'bytes=-3' })).toMatchObject({ status: 206, text: '789' });
});

test('a backup that is gone changes nothing: what is on the disk is read, and what is away is 503', async () => {
  await backUp();
  await server.platform.store.remove(backupKeyOf(upload));
  expect(await read()).toMatchObject({ status: 200, text: HELLO });
  away = true;
  expect(await read()).toMatchObject({ status: 503, body: { code: 'node_unavailable' } });
});

test('a server that has just come back is asked again once its backup cannot be read', async () => {
  await backUp();
  away = true;
  await read();
  away = false;
  await server.platform.store.remove(backupKeyOf(upload));
  expect(await read()).toMatchObject({ status: 200, text: HELLO });
});
