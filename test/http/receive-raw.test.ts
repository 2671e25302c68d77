import { afterEach, expect, test } from '@jest/globals';
import { diskKeyOf } from '../../src/core/keys.ts';
import { WindlassError } from '../../src/errors.ts';
import { contentDigest } from '../support/api-client.ts';
import { storedFiles } from '../support/data-folder.ts';
import { eventually } from '../support/eventually.ts';
import { bytesOf } from '../support/platform.ts';
import { sha256Of } from '../support/random-file.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { startUploadServer, type UploadServer } from '../support/upload-server.ts';

let server: UploadServer;
const start = async (...options: Parameters<typeof startUploadServer>): Promise<UploadServer> => {
  server = await startUploadServer(...options);
  return server;
};
afterEach(() => server.close());

const PNG = Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0', 'latin1');
const nothingKept = async (): Promise<void> => {
  await eventually(async () => expect(await storedFiles(server.dir)).toEqual([]));
  expect(await server.platform.uploads.list({ tenant: 'acme', limit: 1 })).toEqual([]);
};

test('direct: the bytes are on the disk under the key that the record names, with their digest', async () => {
  const { api, platform } = await start();
  const { status, body, headers } = await api.raw('direct', 'hello', {
    type: 'text/plain; charset=utf-8',
    headers: {
      'Content-Disposition': "attachment; filename=x.txt; filename*=UTF-8''%E7%8C%AB.txt",
      'Content-Digest': contentDigest('hello'),
    },
    query: { resourceType: 'post', resourceId: '42', metadata: '{"color":"red"}', sha256: sha256Of('hello') },
  });
  const key = diskKeyOf('files', 'acme', body.id);
  expect(status).toBe(201);
  expect(headers.get('location')).toBe(`http://localhost:8080/v1/uploads/${body.id}`);
  expect(body).toMatchObject({
    strategy: 'direct',
    state: 'stored',
    filename: '猫.txt',
    contentType: 'text/plain; charset=utf-8',
    size: 5,
    sha256: sha256Of('hello'),
    location: { store: 'disk', bucket: null, key, node: 'local' },
    resource: { type: 'post', id: '42' },
    metadata: { color: 'red' },
  });
  expect(String(await bytesOf(await platform.direct.read(key)))).toBe('hello');
  const resource = await platform.resources.find({ tenant: 'acme', type: 'post', id: '42' });
  expect((await platform.uploads.find(body.id))?.resourceRevision).toBe(resource?.revision);
});

test('relay: the bytes wait in the spool, and the record asks for a job', async () => {
  const { api, platform } = await start();
  const { status, body, headers } = await api.raw('relay', 'hello');
  expect([status, body.state, body.filename, body.contentType, body.url]).toEqual([
    202,
    'queued',
    'upload',
    'application/octet-stream',
    null,
  ]);
  expect(headers.get('retry-after')).toBe('1');
  const record = await platform.uploads.find(body.id);
  expect(record?.spool).toEqual({ node: 'local', key: diskKeyOf('spool', 'acme', body.id) });
  expect(record?.outbox).toContainEqual(expect.objectContaining({ kind: 'job', job: 'relay' }));
  expect(String(await bytesOf(await platform.spool.read(record?.spool?.key ?? '')))).toBe('hello');
});

test('an empty file is a file', async () => {
  const { api } = await start();
  const { status, body } = await api.raw('direct', '');
  expect([status, body.size, body.sha256]).toEqual([201, 0, sha256Of('')]);
});

test.each([
  ['an unknown parameter', { query: { colour: 'red' } }, 400, 'invalid_request', '/query/colour'],
  ['half a resource', { query: { resourceType: 'post' } }, 400, 'invalid_request', '/query'],
  ['metadata that is no JSON', { query: { metadata: '{' } }, 400, 'invalid_request', '/query/metadata'],
  ['metadata that is no object of texts', { query: { metadata: '{"a":1}' } }, 400, 'invalid_request', '/query/metadata/a'],
  ['a digest that is none', { query: { sha256: 'abc' } }, 400, 'invalid_request', '/query/sha256'],
  ['a malformed Content-Digest', { headers: { 'Content-Digest': 'sha-256=abc' } }, 400, 'invalid_request', '/headers/content-digest'],
  ['a malformed type', { type: 'image' }, 400, 'invalid_request', '/headers/content-type'],
  ['a malformed Idempotency-Key', { headers: { 'Idempotency-Key': 'a b' } }, 400, 'invalid_request', '/headers/idempotency-key'],
  ['another digest', { headers: { 'Content-Digest': contentDigest('other') } }, 400, 'digest_mismatch', undefined],
  ['another sha256', { query: { sha256: sha256Of('other') } }, 400, 'digest_mismatch', undefined],
  ['a coding', { headers: { 'Content-Encoding': 'gzip' } }, 415, 'type_not_allowed', undefined],
])('%s is refused and nothing is kept', async (_, request, status, code, pointer) => {
  const { api } = await start();
  const answer = await api.raw('direct', 'hello', request as never);
  expect([answer.status, answer.body.code, answer.body.errors?.[0]?.pointer]).toEqual([status, code, pointer]);
  await nothingKept();
});

test('a parameter given twice is refused', async () => {
  const { api } = await start();
  const answer = await api.send('POST', `/v1/uploads/direct?sha256=${sha256Of('a')}&sha256=${sha256Of('b')}`, { body: 'a' });
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
});

test('first bytes that contradict the type are refused while the body is still arriving', async () => {
  const { port } = await start();
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/v1/uploads/direct', { 'Content-Type': 'image/jpeg', 'Content-Length': 1_000_000 }));
  await connection.write(Buffer.concat([PNG, Buffer.alloc(10_000)]));
  const { status, body } = await connection.answer();
  expect([status, JSON.parse(body)]).toEqual([
    422,
    expect.objectContaining({ code: 'content_mismatch', expected: 'image/jpeg', actual: 'image/png' }),
  ]);
  connection.close();
  await nothingKept();
});

test('a client that goes away in mid-body leaves nothing, and is counted as gone', async () => {
  const { port, platform } = await start();
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/v1/uploads/relay', { 'Content-Length': 1_000_000 }));
  await connection.write(Buffer.alloc(500_000));
  await eventually(async () => expect(await storedFiles(server.dir)).toHaveLength(1));
  connection.close();
  await nothingKept();
  await eventually(async () =>
    expect(await platform.metrics.registry.metrics()).toMatch(/uploads_total\{strategy="relay",outcome="aborted"\} 1/),
  );
  expect(await platform.metrics.registry.metrics()).toMatch(/uploads_in_flight\{strategy="relay"\} 0/);
});

test('a body that stalls is answered 408 and leaves nothing', async () => {
  const { port } = await start({ UPLOAD_IDLE_SECONDS: '1' });
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/v1/uploads/direct', { 'Content-Length': 1_000_000 }));
  await connection.write('some');
  const { status, headers, body } = await connection.answer();
  expect([status, headers.get('connection'), JSON.parse(body).code]).toEqual([408, 'close', 'upload_timeout']);
  connection.close();
  await nothingKept();
});

test('no record, no upload: bytes are removed when the record is refused, and kept when nobody knows', async () => {
  for (const [code, kept] of [
    ['repository_unavailable', 1],
    ['internal', 0],
  ] as const) {
    const { api, ledger } = await start();
    ledger.create = () => Promise.reject(new WindlassError(code, 'not now'));
    const answer = await api.raw('direct', 'hello');
    expect(answer.body.code).toBe(code);
    expect(await storedFiles(server.dir)).toHaveLength(kept);
    if (kept) await server.close();
  }
});

test('a full disk is told before the body is asked for', async () => {
  const { port } = await start({ MIN_FREE_BYTES: '900TiB' });
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/v1/uploads/relay', { 'Content-Length': 5, Expect: '100-continue' }));
  const { status, headers, body } = await connection.answer();
  expect([status, JSON.parse(body).code]).toEqual([507, 'spool_full']);
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  expect(connection.text).not.toContain('100 Continue');
  connection.close();
});
