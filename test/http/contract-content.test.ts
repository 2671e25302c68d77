import { beforeAll, describe, expect, test } from '@jest/globals';
import { sha256Of } from '../support/random-file.ts';
import { RawConnection, head as requestHead, sendRaw } from '../support/raw-http.ts';
import { useServer } from '../support/suite.ts';

const BYTES = '0123456789abcdef';
const suite = useServer();
const ids = new Map<string, string>();

beforeAll(async () => {
  ids.set(
    'direct',
    (
      await suite.api.raw('direct', BYTES, {
        type: 'text/plain',
        query: {},
        headers: { 'Content-Disposition': 'attachment; filename="a.txt"' },
      })
    ).body.id,
  );
  const relayed = (await suite.api.raw('relay', BYTES, { type: 'text/plain' })).body.id;
  await suite.api.settled(relayed);
  ids.set('relay', relayed);
  ids.set('presign', (await suite.api.presigned(BYTES, { contentType: 'text/plain' })).id);
});

describe.each(['direct', 'relay', 'presign'])('the content of a %s upload', (strategy) => {
  // As the server itself sends it: a redirect leads to the store's own answer.
  const path = () => `/v1/uploads/${ids.get(strategy)}/content?stream=1`;
  const get = (headers: Record<string, string> = {}, method = 'GET') => suite.api.send(method, path(), { headers });

  test('comes with everything a client needs to check and to keep it', async () => {
    const { status, headers, text } = await get();
    expect([status, text]).toEqual([200, BYTES]);
    expect(headers.get('etag')).toMatch(/^"[^"]+"$/);
    expect(headers.get('content-type')).toBe('text/plain');
    expect(headers.get('content-length')).toBe('16');
    expect(headers.get('accept-ranges')).toBe('bytes');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-disposition')).toMatch(/^attachment/);
    expect(headers.get('repr-digest')).toBe(`sha-256=:${Buffer.from(sha256Of(BYTES), 'hex').toString('base64')}:`);
  });

  test('has the same head without a body', async () => {
    const [whole, only] = [await get(), await get({}, 'HEAD')];
    expect([only.status, only.text]).toEqual([200, '']);
    for (const name of ['etag', 'content-length', 'content-type', 'repr-digest', 'accept-ranges', 'content-disposition'])
      expect([name, only.headers.get(name)]).toEqual([name, whole.headers.get(name)]);
  });

  test.each([
    ['bytes=0-3', '0123', 'bytes 0-3/16'],
    ['bytes=4-', '456789abcdef', 'bytes 4-15/16'],
    ['bytes=-4', 'cdef', 'bytes 12-15/16'],
    ['bytes=10-999', 'abcdef', 'bytes 10-15/16'],
    ['bytes=-999', BYTES, 'bytes 0-15/16'],
  ])('serves %s', async (Range, text, contentRange) => {
    const answer = await get({ Range });
    expect([answer.status, answer.text, answer.headers.get('content-range')]).toEqual([206, text, contentRange]);
    expect(answer.headers.get('content-length')).toBe(String(text.length));
    expect(answer.headers.get('etag')).toBe((await get()).headers.get('etag'));
  });

  test('refuses a range outside of it', async () => {
    const answer = await get({ Range: 'bytes=16-' });
    expect([answer.status, answer.body.code, answer.headers.get('content-range')]).toEqual([416, 'range_not_satisfiable', 'bytes */16']);
  });

  test.each(['chars=0-3', 'bytes=3-1', 'bytes=x', 'nonsense'])(
    'never gives a part for a range it does not understand: %s',
    async (Range) => {
      const { status, text } = await get({ Range });
      // RFC 9110, section 14.2: an invalid set of bytes may be ignored or refused; a unit that is not known is ignored.
      if (status === 416) expect(Range).toMatch(/^bytes=/);
      else expect([status, text]).toEqual([200, BYTES]);
    },
  );

  test('serves a range only of the version that If-Range names', async () => {
    const etag = (await get()).headers.get('etag') ?? '';
    expect(await get({ Range: 'bytes=0-3', 'If-Range': etag })).toMatchObject({ status: 206, text: '0123' });
    expect(await get({ Range: 'bytes=0-3', 'If-Range': '"another"' })).toMatchObject({ status: 200, text: BYTES });
    expect(await get({ Range: 'bytes=0-3', 'If-Range': `W/${etag}` })).toMatchObject({ status: 200, text: BYTES });
  });

  test('is not sent again to who has it', async () => {
    const etag = (await get()).headers.get('etag') ?? '';
    for (const tags of [etag, `"x", ${etag}`, `W/${etag}`, '*']) {
      const { status, text, headers } = await get({ 'If-None-Match': tags });
      expect([tags, status, text, headers.get('etag')]).toEqual([tags, 304, '', etag]);
    }
    expect((await get({ 'If-None-Match': '"x"' })).status).toBe(200);
    expect((await get({ 'If-None-Match': etag }, 'HEAD')).status).toBe(304);
  });
});

test('a client that goes away in the middle of a download disturbs nobody', async () => {
  const { body } = await suite.api.raw('direct', Buffer.alloc(4 * 1024 ** 2, 'x') as Buffer<ArrayBuffer>);
  const connection = new RawConnection(suite.server.port);
  await connection.write(requestHead(suite.server.port, 'GET', `/v1/uploads/${body.id}/content`));
  await connection.until((text) => text.includes('\r\n\r\n'));
  connection.close();
  expect(await suite.api.contentDigest(body.id)).toMatchObject({ status: 200, size: 4 * 1024 ** 2 });
});

test('content that is not stored yet is 409, and no content of ours is run by a browser', async () => {
  const { body } = await suite.api.presign({ size: 1 });
  const answer = await suite.api.get(`/v1/uploads/${body.upload.id}/content`);
  expect([answer.status, answer.body.code]).toEqual([409, 'not_stored']);
  const html = await suite.api.raw('direct', '<script>alert(1)</script>', { type: 'text/html' });
  const { headers } = await suite.api.get(`/v1/uploads/${html.body.id}/content`);
  expect(headers.get('content-disposition')).toMatch(/^attachment/);
  expect(headers.get('content-security-policy')).toContain('sandbox');
});

describe('a hostile name', () => {
  const NAMES = [
    '../../../../etc/passwd',
    '..\\..\\windows\\system32\\evil.dll',
    'a"; filename="b.exe',
    'semi;colon, comma=equals',
    'per%2fcent%00.txt',
    'ünï ✓ 🐱.png',
    '\u202Egpj.exe',
    '.',
    '..',
    ' lead and trail ',
    `${'x'.repeat(900)}.txt`,
    "quote's `back` $(sh)",
    'CON.txt',
  ];

  test.each(NAMES)('%j never becomes a header or a path', async (filename) => {
    const { status, body } = await suite.api.presign({ size: 1, filename });
    expect(status).toBe(201);
    expect(body.upload.filename).not.toMatch(/[/\\\0\r\n]/);
    const sent = await fetch(body.request.url, { method: 'PUT', headers: body.request.headers, body: 'x' });
    expect(sent.ok).toBe(true);
    const completed = await suite.api.complete(body.upload.id);
    expect(completed.status).toBe(200);
    const raw = await sendRaw(suite.server.port, requestHead(suite.server.port, 'GET', `/v1/uploads/${body.upload.id}/content?stream=1`));
    expect(raw.status).toBe(200);
    expect(raw.headers.get('content-disposition')).toMatch(/^attachment; filename[*]?=/);
    expect(raw.headers.get('content-disposition')).not.toMatch(/[^\x20-\x7e]/);
    const fetched = await suite.api.fetch(`/v1/uploads/${body.upload.id}/content`);
    expect([fetched.status, fetched.headers.get('content-disposition')]).toEqual([
      200,
      expect.stringMatching(/^attachment; filename[*]?=/),
    ]);
    expect(completed.body.location?.key).not.toContain('..');
  });

  test.each(['a\r\nSet-Cookie: x=y', 'a\0b', 'tab\there', '\ud800', '', '\u2028'])(
    '%j with control characters is refused in JSON',
    async (filename) => {
      const { status, body } = await suite.api.presign({ size: 1, filename });
      expect([status, body.code]).toEqual([400, 'invalid_request']);
      expect(body.errors[0]?.pointer).toBe('/filename');
    },
  );
});
