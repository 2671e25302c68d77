import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { diskKeyOf, keyOf } from '../../src/core/keys.ts';
import type { Upload } from '../../src/core/upload.ts';
import type { Platform } from '../../src/platform.ts';
import { contentDigest } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { newUpload, writeFileTo } from '../support/platform.ts';
import { RandomFile, sha256Of } from '../support/random-file.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { startUploadServer, type UploadServer } from '../support/upload-server.ts';

let server: UploadServer;
let id = '';
const HELLO = '0123456789';
const ETAG = `"${sha256Of(HELLO)}"`;
beforeEach(async () => {
  server = await startUploadServer();
  const headers = { 'Content-Disposition': "attachment; filename*=UTF-8''%E7%8C%AB.html" };
  id = (await server.api.raw('direct', HELLO, { type: 'text/html', headers })).body.id;
});
afterEach(() => server.close());

const path = (): string => `/v1/uploads/${id}/content`;

test('the bytes come with all that says what they are and that they are not run', async () => {
  const { status, text, headers } = await server.api.get(path());
  expect([status, text]).toEqual([200, HELLO]);
  expect(Object.fromEntries(headers)).toMatchObject({
    etag: ETAG,
    'repr-digest': contentDigest(HELLO),
    'accept-ranges': 'bytes',
    'content-type': 'text/html',
    'content-length': '10',
    'content-disposition': 'attachment; filename="?.html"; filename*=UTF-8\'\'%E7%8C%AB.html',
    'x-content-type-options': 'nosniff',
    'content-security-policy': expect.stringContaining('sandbox'),
    'cache-control': 'private, no-cache',
    'last-modified': expect.stringMatching(/GMT$/),
  });
});

test('HEAD says the same without the bytes, and without looking at the disk', async () => {
  const whole = await server.api.get(path());
  await server.platform.direct.remove(diskKeyOf('files', 'acme', id));
  const { status, text, headers } = await server.api.send('HEAD', path());
  expect([status, text]).toEqual([200, '']);
  for (const name of ['etag', 'repr-digest', 'content-length', 'content-type', 'accept-ranges', 'content-disposition'])
    expect([name, headers.get(name)]).toEqual([name, whole.headers.get(name)]);
});

test.each([
  [{ Range: 'bytes=2-4' }, 206, '234', 'bytes 2-4/10'],
  [{ Range: 'bytes=-3' }, 206, '789', 'bytes 7-9/10'],
  [{ Range: 'bytes=8-' }, 206, '89', 'bytes 8-9/10'],
  [{ Range: 'bytes=0-0' }, 206, '0', 'bytes 0-0/10'],
  [{ Range: 'bytes=2-4', 'If-Range': ETAG }, 206, '234', 'bytes 2-4/10'],
  [{ Range: 'bytes=2-4', 'If-Range': '"other"' }, 200, HELLO, null],
  [{ Range: 'bytes=0-1,4-5' }, 200, HELLO, null],
  [{ Range: 'lines=1-2' }, 200, HELLO, null],
  [{ 'If-Match': ETAG }, 200, HELLO, null],
  [{ 'If-None-Match': '"other"' }, 200, HELLO, null],
  [{ 'If-None-Match': ETAG }, 304, '', null],
  [{ 'If-None-Match': ETAG, Range: 'bytes=2-4' }, 304, '', null],
])('%j is answered %i', async (headers, status, text, range) => {
  const answer = await server.api.get(path(), headers as Record<string, string>);
  expect([answer.status, answer.text, answer.headers.get('content-range')]).toEqual([status, text, range]);
  expect(answer.headers.get('etag')).toBe(ETAG);
});

test.each([
  [{ Range: 'bytes=10-' }, 416, 'range_not_satisfiable', 'bytes */10'],
  [{ 'If-Match': '"other"' }, 412, 'precondition_failed', null],
])('%j is refused with %i', async (headers, status, code, range) => {
  const answer = await server.api.get(path(), headers as Record<string, string>);
  expect([answer.status, answer.body.code, answer.headers.get('content-range')]).toEqual([status, code, range]);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
});

test('an empty file is read as such', async () => {
  const { body } = await server.api.raw('direct', '');
  const answer = await server.api.get(`/v1/uploads/${body.id}/content`);
  expect([answer.status, answer.text, answer.headers.get('content-length')]).toEqual([200, '', '0']);
});

test('other tenants, unknown ids and parameters get nothing; what is not stored yet is a 409', async () => {
  expect((await server.api.get(path(), { 'Test-Tenant': 'other' })).status).toBe(404);
  expect((await server.api.get(`/v1/uploads/${server.platform.newId()}/content`)).status).toBe(404);
  expect((await server.api.get('/v1/uploads/nonsense/content')).status).toBe(404);
  expect((await server.api.get(`${path()}?download=1`)).status).toBe(400);
  const queued = (await server.api.raw('relay', HELLO)).body;
  const answer = await server.api.get(`/v1/uploads/${queued.id}/content`);
  expect([answer.status, answer.body.code, answer.body.actual]).toEqual([409, 'not_stored', 'queued']);
});

test('a deleted upload is not found', async () => {
  const upload = await server.platform.uploads.find(id);
  await server.ledger.transition(upload as Upload, 'deleted');
  expect((await server.api.get(path())).status).toBe(404);
});

describe('broken promises', () => {
  test('bytes that are gone are an error, never an empty answer', async () => {
    await server.platform.direct.remove(diskKeyOf('files', 'acme', id));
    const { status, body, headers } = await server.api.get(path());
    expect([status, body.code, headers.get('repr-digest')]).toEqual([500, 'internal', null]);
  });

  test('bytes that are too few break the connection off instead of looking whole', async () => {
    await writeFileTo(server.platform.direct, diskKeyOf('files', 'acme', id), Buffer.from('012'));
    const connection = new RawConnection(server.port);
    await connection.write(head(server.port, 'GET', path()));
    expect((await connection.ended()).endsWith('012')).toBe(true);
    connection.close();
  });
});

test('a client that goes away in the middle closes the file', async () => {
  await server.close();
  const opened: Readable[] = [];
  server = await startUploadServer({}, ({ disks, ...platform }) => {
    const direct = watched({ disks, ...platform }, opened);
    return { disks: { spoolOf: (node) => disks.spoolOf(node), directOf: () => direct } };
  });
  const bytes = await new RandomFile(16 * 1024 * 1024, 'download').bytes();
  const { body } = await server.api.raw('direct', bytes as Buffer<ArrayBuffer>);
  const connection = new RawConnection(server.port);
  connection.socket.pause();
  await connection.write(head(server.port, 'GET', `/v1/uploads/${body.id}/content`));
  await eventually(() => expect(opened).toHaveLength(1));
  connection.close();
  await eventually(() => expect(opened[0]?.destroyed).toBe(true));
});

const watched = (platform: Platform, opened: Readable[]): Platform['direct'] =>
  new Proxy(platform.direct, {
    get(disk, name) {
      if (name !== 'read') return Reflect.get(disk, name).bind(disk);
      return async (key: string) => {
        const stream = await disk.read(key);
        if (stream) opened.push(stream);
        return stream;
      };
    },
  });

describe('in the object store', () => {
  const inStore = async (store: Platform['store'], location: Partial<NonNullable<Upload['location']>>): Promise<string> => {
    const bytes = Buffer.from(HELLO);
    const upload = newUpload(server.platform, bytes, { strategy: 'direct', contentType: 'text/plain', filename: 'a.txt' });
    const key = keyOf('files', 'acme', upload.id);
    await store.put(key, {
      size: 10,
      contentType: 'text/plain',
      sha256: sha256Of(HELLO),
      open: async (range) => Readable.from([Buffer.from(bytes.subarray(range?.start ?? 0, (range?.end ?? 9) + 1))]),
    });
    await server.ledger.create({ ...upload, location: { store: 'disk', bucket: store.bucket, key, node: null, ...location } });
    return `/v1/uploads/${upload.id}/content`;
  };

  test('the embedded one: streamed, ranges too', async () => {
    const at = await inStore(server.platform.store, {});
    expect((await server.api.get(at)).text).toBe(HELLO);
    expect(await server.api.get(at, { Range: 'bytes=2-4' })).toMatchObject({ status: 206, text: '234' });
  });

  test('S3: redirected to a signed link that is not cached, or streamed when asked for; HEAD and 304 from the record', async () => {
    const at = await inStore(server.platform.store, { store: 's3', bucket: 'uploads' });
    const redirect = await server.api.send('GET', at, { redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('cache-control')]).toEqual([307, 'no-store']);
    expect(redirect.headers.get('location')).toMatch(/^http:\/\/localhost:8080\/store\//);
    expect((await server.api.get(`${at}?stream=1`)).text).toBe(HELLO);
    expect((await server.api.send('HEAD', at)).status).toBe(200);
    expect((await server.api.get(at, { 'If-None-Match': ETAG })).status).toBe(304);
  });
});

describe('delivery', () => {
  const served = async (environment: Record<string, string>): Promise<UploadServer> => {
    await server.close();
    server = await startUploadServer(environment);
    id = (await server.api.raw('direct', HELLO, { type: 'text/plain' })).body.id;
    return server;
  };

  test.each([
    ['private', {}, 'private, max-age=86400, immutable'],
    ['public', { CONTENT_MAX_AGE_SECONDS: '31536000' }, 'public, max-age=31536000, immutable'],
  ])('CONTENT_CACHE=%s lets content be kept, in every answer that has or names it', async (CONTENT_CACHE, more, expected) => {
    const { api } = await served({ CONTENT_CACHE, ...more });
    const answers = await Promise.all([
      api.get(path()),
      api.get(path(), { Range: 'bytes=2-4' }),
      api.get(path(), { 'If-None-Match': ETAG }),
      api.send('HEAD', path()),
    ]);
    expect(answers.map(({ status, headers }) => [status, headers.get('cache-control')])).toEqual(
      [200, 206, 304, 200].map((status) => [status, expected]),
    );
  });

  test('errors are kept by nobody, whatever content may', async () => {
    const { api } = await served({ CONTENT_CACHE: 'public' });
    const errors = [await api.get(path(), { Range: 'bytes=99-' }), await api.get(path(), { 'Test-Tenant': 'other' })];
    expect(errors.map(({ status, headers }) => [status, headers.get('cache-control')])).toEqual([
      [416, 'no-store'],
      [404, 'no-store'],
    ]);
  });

  test('the address of the content is that of the CDN where there is one, and nothing else is', async () => {
    const { api } = await served({ CONTENT_PUBLIC_URL: 'https://cdn.example.com/files/' });
    const { body, headers } = await api.raw('direct', HELLO);
    expect(body.url).toBe(`https://cdn.example.com/files/v1/uploads/${body.id}/content`);
    expect(headers.get('location')).toBe(`http://localhost:8080/v1/uploads/${body.id}`);
  });

  test('HEAD answers conditions as GET does, and says the size of the whole, whatever the range', async () => {
    const head = (headers: Record<string, string>) => server.api.send('HEAD', path(), { headers });
    expect((await head({ 'If-None-Match': ETAG })).status).toBe(304);
    expect((await head({ 'If-Match': '"other"' })).status).toBe(412);
    const ranged = await head({ Range: 'bytes=2-4' });
    expect([ranged.status, ranged.headers.get('content-length')]).toEqual([200, '10']);
  });

  test('dates do where there is no ETag, and a weak ETag never stands for bytes', async () => {
    const at = (await server.api.get(path())).headers.get('last-modified') ?? '';
    expect((await server.api.get(path(), { 'If-Modified-Since': at })).status).toBe(304);
    expect(await server.api.get(path(), { Range: 'bytes=2-4', 'If-Range': at })).toMatchObject({ status: 206, text: '234' });
    expect(await server.api.get(path(), { Range: 'bytes=2-4', 'If-Range': `W/${ETAG}` })).toMatchObject({ status: 200, text: HELLO });
    expect((await server.api.get(path(), { 'If-None-Match': `W/${ETAG}` })).status).toBe(304);
  });
});
