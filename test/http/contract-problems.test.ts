import { describe, expect, test } from '@jest/globals';
import { head, sendRaw } from '../support/raw-http.ts';
import { NO_SUCH_ID } from '../support/samples.ts';
import { embeddedOnly } from '../support/server-under-test.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();

interface OpenApi {
  paths: Record<string, Record<string, { operationId: string }>>;
}
const IDS = [
  'not-an-id',
  '1',
  NO_SUCH_ID.toUpperCase(),
  '00000000-0000-4000-8000-000000000000',
  `${NO_SUCH_ID}x`,
  '%00',
  '..%2f..%2fetc',
  '%f0%28',
  'x'.repeat(3000),
];

async function expectProblem(method: string, path: string, status: number, code: string): Promise<void> {
  const answer = await suite.api.send(method, path, { headers: { 'X-Request-Id': 'my-request-1' } });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.headers.get('x-request-id')).toBe('my-request-1');
  expect(answer.body).toMatchObject({ status, code, requestId: 'my-request-1', title: expect.any(String), detail: expect.any(String) });
  expect(answer.body.type).toMatch(new RegExp(`/docs/errors#${code}$`));
  expect((await fetch(answer.body.type)).status).toBe(200);
  expect(answer.text).not.toMatch(/node_modules|\bat .+:\d+|\/src\/|\/tmp\//);
}

describe('every refusal', () => {
  test.each([
    ['GET', '/v1/nothing', 404, 'not_found'],
    ['GET', `/v1/uploads/${NO_SUCH_ID}`, 404, 'not_found'],
    ['GET', '/v1/uploads/nonsense', 404, 'not_found'],
    ['PATCH', '/v1/uploads', 405, 'method_not_allowed'],
    ['GET', '/v1/uploads?limit=x', 400, 'invalid_request'],
  ])('%s %s is a problem document', expectProblem);

  embeddedOnly('links are answered by S3 there', () => {
    test('PUT /store/nothing is a problem document', () => expectProblem('PUT', '/store/nothing', 403, 'link_invalid'));
  });

  test('has an id of its own when none was sent, or a bad one', async () => {
    const none = await suite.api.get('/v1/nothing');
    expect(none.headers.get('x-request-id')).toBe(none.body.requestId);
    expect(none.body.requestId.length).toBeGreaterThan(8);
    const bad = await suite.api.get('/v1/nothing', { 'X-Request-Id': `${'x'.repeat(500)}` });
    expect(bad.body.requestId).not.toContain('xxx');
  });
});

test('a malformed id is 404 on every route that has one', async () => {
  const { paths } = (await (await fetch(`${suite.server.url}/openapi.json`)).json()) as OpenApi;
  for (const [template, operations] of Object.entries(paths)) {
    if (!template.includes('/uploads/{id}')) continue;
    for (const method of Object.keys(operations))
      for (const id of IDS) {
        const answer = await suite.api.send(method.toUpperCase(), template.replace('{id}', id));
        expect([method, template, id, answer.status]).toEqual([method, template, id, 404]);
      }
  }
});

test('a wrong method is 405 with Allow on every path', async () => {
  const { paths } = (await (await fetch(`${suite.server.url}/openapi.json`)).json()) as OpenApi;
  for (const [template, operations] of Object.entries(paths)) {
    const answer = await suite.api.send('PATCH', template.replace('{id}', NO_SUCH_ID).replace('{type}', 'post'));
    expect([template, answer.status, answer.body.code]).toEqual([template, 405, 'method_not_allowed']);
    const allow = (answer.headers.get('allow') ?? '').split(', ').map((method) => method.toLowerCase());
    for (const method of Object.keys(operations)) expect([template, allow]).toEqual([template, expect.arrayContaining([method])]);
  }
});

describe('a body of JSON', () => {
  test('with unknown fields is refused, each named by a pointer', async () => {
    const { status, body } = await suite.api.json('POST', '/v1/uploads/presign', {
      filename: 'a',
      contentType: 'text/plain',
      size: 1,
      colour: 'red',
      resource: { type: 'a', id: '1', 'x/y~z': 1 },
    });
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.errors.map(({ pointer }) => pointer).sort()).toEqual(['/colour', '/resource/x~1y~0z']);
  });

  test('with everything wrong names everything', async () => {
    const { body } = await suite.api.json('POST', '/v1/uploads/presign', {
      filename: 5,
      contentType: 'nonsense',
      size: -1,
      sha256: 'x',
      method: 'PATCH',
      metadata: [],
    });
    expect(body.errors.map(({ pointer }) => pointer).sort()).toEqual([
      '/contentType',
      '/filename',
      '/metadata',
      '/method',
      '/sha256',
      '/size',
    ]);
  });

  test.each([0.5, 1e300, '5', null, -0.1, 2 ** 53])('refuses %j as a size', async (size) => {
    const { status } = await suite.api.json('POST', '/v1/uploads/presign', { filename: 'a', contentType: 'text/plain', size });
    expect([400, 413]).toContain(status);
  });

  test.each([
    ['deep nesting', `{"attributes":${'['.repeat(100_000)}${']'.repeat(100_000)},"uploads":[]}`],
    ['deep objects', `{"attributes":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)},"uploads":[]}`],
    ['text that is no JSON', '{"attributes":'],
    ['an array', '[]'],
    ['null', 'null'],
    ['nothing', ''],
    ['two documents', '{}{}'],
    ['a byte order mark inside', '{"attributes":{}\ufeff,"uploads":[]}'],
  ])('that is %s is refused', async (_, text) => {
    const answer = await suite.api.send('PUT', '/v1/resources/post/json', { headers: { 'Content-Type': 'application/json' }, body: text });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  });

  test('that is larger than it may be is 413', async () => {
    const answer = await suite.api.json('PUT', '/v1/resources/post/large', { attributes: { a: 'x'.repeat(1024 ** 2) }, uploads: [] });
    expect([answer.status, answer.body.code]).toEqual([413, 'too_large']);
    expect(answer.body.limit).toBe(1024 ** 2);
  });

  test('that is invalid UTF-8 is refused', async () => {
    const body = Buffer.concat([Buffer.from('{"attributes":{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"},"uploads":[]}')]);
    const answer = await suite.api.send('PUT', '/v1/resources/post/utf8', { headers: { 'Content-Type': 'application/json' }, body });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  });

  test('with __proto__ and constructor changes nothing but itself', async () => {
    const text = '{"attributes":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}},"uploads":[]}';
    const answer = await suite.api.send('PUT', '/v1/resources/post/proto', { headers: { 'Content-Type': 'application/json' }, body: text });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    const clean = await suite.api.json('PUT', '/v1/resources/post/clean', { attributes: {}, uploads: [] });
    expect(clean.text).not.toContain('polluted');
    const order = '{"filename":"a","contentType":"text/plain","size":1,"metadata":{"__proto__":"x"}}';
    const refused = await suite.api.send('POST', '/v1/uploads/presign', { headers: { 'Content-Type': 'application/json' }, body: order });
    expect(refused.status).toBe(400);
  });

  test('of another media type is 415', async () => {
    const answer = await suite.api.send('POST', '/v1/uploads/presign', { headers: { 'Content-Type': 'text/plain' }, body: '{}' });
    expect([answer.status, answer.body.code]).toEqual([415, 'type_not_allowed']);
  });
});

describe('a request that is barely HTTP', () => {
  test.each([
    ['nonsense', 'NONSENSE\r\n\r\n', 400],
    ['a control character in a header', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x01b\r\n\r\n', 400],
    [
      'both lengths',
      'POST /v1/uploads/direct HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'two different lengths',
      'POST /v1/uploads/direct HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
      400,
    ],
    ['a negative length', 'POST /v1/uploads/direct HTTP/1.1\r\nHost: localhost\r\nContent-Length: -3\r\n\r\n', 400],
    ['no host', 'GET /v1/uploads HTTP/1.1\r\n\r\n', 400],
    [
      'a flood of headers',
      `GET /v1/uploads HTTP/1.1\r\nHost: localhost\r\n${Array.from({ length: 3000 }, (_, n) => `X-${n}: ${n}\r\n`).join('')}\r\n`,
      431,
    ],
    ['a huge header', `GET /v1/uploads HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, 431],
    ['a huge path', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 431],
    ['a NUL in the path', 'GET /v1/uploads/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ])('%s is answered with a problem', async (_name, request, status) => {
    const answer = await sendRaw(suite.server.port, request);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(JSON.parse(answer.body)).toMatchObject({ status, code: expect.any(String), title: expect.any(String) });
  });

  test.each([
    '/v1/uploads/%',
    '/v1/uploads/%zz',
    '/%c0%ae%c0%ae/',
    '/v1/resources/%ff/%fe',
    '/..%2f..%2f..%2fetc/passwd',
    '/docs/../../etc/passwd',
    '/store/..%2f..%2fsecrets/link.key',
    '//v1//uploads',
  ])('the path %s leads nowhere', async (path) => {
    const answer = await sendRaw(suite.server.port, head(suite.server.port, 'GET', path));
    expect([path, answer.status]).toEqual([path, expect.any(Number)]);
    expect([400, 403, 404]).toContain(answer.status);
    expect(JSON.parse(answer.body)).toMatchObject({ code: expect.any(String) });
  });
});
