import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { keyOf } from '../../../../../src/core/keys.ts';
import type { PutTerms } from '../../../../../src/ports/presigner.ts';
import { openDiskStore } from '../../../../support/disk-store-server.ts';
import { eventually } from '../../../../support/eventually.ts';

const BYTES = 'hello world';
const SHA256 = createHash('sha256').update(BYTES).digest('hex');
const MIB = 1024 ** 2;

let opened: Awaited<ReturnType<typeof openDiskStore>>;
beforeAll(async () => {
  opened = await openDiskStore();
});
afterAll(() => opened.close());

const terms = (overrides: Partial<PutTerms> = {}): PutTerms => ({
  key: keyOf('staging', 'acme', v7()),
  size: BYTES.length,
  contentType: 'text/plain',
  sha256: null,
  expiresAt: opened.clock() + 60_000,
  ...overrides,
});
const put = async (
  wanted: PutTerms,
  body = BYTES,
  change: { query?: string; headers?: Record<string, string> } = {},
): Promise<Response> => {
  const { url, headers } = await opened.presigner.put(wanted);
  return fetch(url + (change.query ?? ''), { method: 'PUT', headers: { ...headers, ...change.headers }, body });
};
const codeOf = async (answer: Response): Promise<[number, string]> => [answer.status, ((await answer.json()) as { code: string }).code];
const formRequest = (url: string, boundary = 'b'): ReturnType<typeof request> =>
  request(url, {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}`, 'Transfer-Encoding': 'chunked' },
  });
const part = (name: string, value: string, extra = ''): string =>
  `--b\r\nContent-Disposition: form-data; name="${name}"${extra}\r\n\r\n${value}\r\n`;
const fieldsOf = async (wanted: PutTerms): Promise<string> =>
  Object.entries((await opened.presigner.post(wanted)).fields ?? {})
    .map(([name, value]) => part(name, value))
    .join('');
const answerTo = async (sending: ReturnType<typeof request>): Promise<[number, string]> => {
  const [answer] = (await once(sending, 'response')) as [IncomingMessage];
  const text = (await answer.toArray()).join('');
  return [answer.statusCode ?? 0, text === '' ? '' : JSON.parse(text).code];
};

test('every refusal says why', async () => {
  expect(await codeOf(await put(terms(), 'hello'))).toEqual([403, 'link_invalid']);
  expect(await codeOf(await put(terms(), 'hello world and more'))).toEqual([403, 'link_invalid']);
  expect(await codeOf(await put(terms(), BYTES, { headers: { 'Content-Type': 'text/html' } }))).toEqual([403, 'link_invalid']);
  expect(await codeOf(await put(terms({ sha256: SHA256 }), BYTES, { headers: { 'Content-Digest': 'sha-256=:AAAA:' } }))).toEqual([
    403,
    'link_invalid',
  ]);
  expect(await codeOf(await put(terms({ sha256: SHA256 }), 'HELLO WORLD'))).toEqual([400, 'digest_mismatch']);
  const late = await put(terms({ expiresAt: opened.clock() - 1 }));
  expect(await late.json()).toMatchObject({ code: 'link_invalid', detail: expect.stringContaining('expired') });
  expect(await opened.unfinished()).toEqual([]);
});

test('a body without length is 411', async () => {
  const { url, headers } = await opened.presigner.put(terms());
  const sending = request(url, { method: 'PUT', headers: { ...headers, 'Transfer-Encoding': 'chunked' } });
  sending.end(BYTES);
  expect(await answerTo(sending)).toEqual([411, 'length_required']);
});

test.each(['&size=11', '&extra=1', '&extra', '&signature=x', '&expires=9999999999999'])(
  'a link with %s added is refused',
  async (query) => {
    expect(await codeOf(await put(terms(), BYTES, { query }))).toEqual([403, 'link_invalid']);
  },
);

test('no other spelling of a signature is taken', async () => {
  const wanted = terms();
  const { url, headers } = await opened.presigner.put(wanted);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const sibling = alphabet[alphabet.indexOf(url.at(-1) ?? '') ^ 1];
  for (const spelling of [url.slice(0, -1) + sibling, `${url}=`, `${url}%3D`, url.slice(0, -1)]) {
    expect((await fetch(spelling, { method: 'PUT', headers, body: BYTES })).status).toBe(403);
  }
  expect((await fetch(url, { method: 'PUT', headers, body: BYTES })).status).toBe(200);
});

test('a link to read cannot be used to write, nor a link to a part to write the object', async () => {
  const { key, expiresAt } = terms();
  const get = await opened.presigner.get({ key, filename: 'x', contentType: 'text/plain', expiresAt });
  expect((await fetch(get.url, { method: 'PUT', body: BYTES })).status).toBe(403);
  const { url } = await opened.presigner.part({ key, multipartId: v7(), partNumber: 1, size: BYTES.length, expiresAt });
  const asObject = new URL(url);
  asObject.searchParams.delete('multipart');
  asObject.searchParams.delete('part');
  asObject.searchParams.set('type', 'text/plain');
  expect((await fetch(asObject, { method: 'PUT', headers: { 'Content-Type': 'text/plain' }, body: BYTES })).status).toBe(403);
});

test('methods that an address does not have are 405 and name those it has', async () => {
  const { url } = await opened.presigner.put(terms());
  const onKey = await fetch(url, { method: 'DELETE' });
  expect(await onKey.json()).toMatchObject({ code: 'method_not_allowed', allow: ['GET', 'HEAD', 'PUT', 'OPTIONS'] });
  expect(onKey.status).toBe(405);
  const onStore = await fetch(`${opened.url}/store`, { method: 'PUT', body: 'x' });
  expect(await onStore.json()).toMatchObject({ code: 'method_not_allowed', allow: ['POST', 'OPTIONS'] });
  const options = await fetch(url, { method: 'OPTIONS' });
  expect([options.status, options.headers.get('Allow')]).toEqual([204, 'GET, HEAD, PUT, OPTIONS']);
});

test.each(['/store/../../etc/passwd', '/store/%2e%2e/x', '/store/staging/%00', '/store/.unfinished/x', '/store//'])(
  '%s leads nowhere',
  async (path) => {
    const sending = request(`${opened.url}${path}?filename=x&type=y&expires=1&signature=z`, {
      path: `${path}?filename=x&type=y&expires=1&signature=z`,
    });
    sending.end();
    expect(await answerTo(sending)).toEqual([403, 'link_invalid']);
  },
);

test('what is stored knows its SHA-256, though nobody declared it', async () => {
  const [byPut, byForm] = [terms(), terms()];
  await put(byPut);
  const sending = formRequest(`${opened.url}/store`);
  sending.end(`${await fieldsOf(byForm)}${part('file', BYTES, '; filename="x"')}--b--\r\n`);
  expect(await answerTo(sending)).toEqual([204, '']);
  for (const { key } of [byPut, byForm]) expect(await opened.store.head(key)).toMatchObject({ sha256: SHA256, contentType: 'text/plain' });
});

test('a download is saved and never run, can be asked for again, and in parts', async () => {
  const wanted = terms();
  await put(wanted);
  const { url } = await opened.presigner.get({ ...wanted, filename: 'page.html', contentType: 'text/html' });
  const whole = await fetch(url);
  expect(Object.fromEntries(whole.headers)).toMatchObject({
    'content-type': 'text/html',
    'content-length': '11',
    'x-content-type-options': 'nosniff',
    'content-security-policy': 'sandbox',
    'accept-ranges': 'bytes',
    'content-disposition': 'attachment; filename=page.html',
    'repr-digest': `sha-256=:${Buffer.from(SHA256, 'hex').toString('base64')}:`,
  });
  const etag = whole.headers.get('ETag') ?? '';
  const get = async (headers: Record<string, string>, method = 'GET') => {
    const answer = await fetch(url, { method, headers });
    return [answer.status, answer.headers.get('Content-Length'), await answer.text()];
  };
  expect(await get({}, 'HEAD')).toEqual([200, '11', '']);
  expect(await get({ 'If-None-Match': etag })).toEqual([304, null, '']);
  expect(await get({ Range: 'bytes=-3' })).toEqual([206, '3', 'rld']);
  expect(await get({ Range: 'bytes=6-' }, 'HEAD')).toEqual([206, '5', '']);
  expect(await get({ Range: 'bytes=0-1', 'If-Range': etag })).toEqual([206, '2', 'he']);
  expect(await get({ Range: 'bytes=0-1', 'If-Range': '"other"' })).toEqual([200, '11', BYTES]);
  expect(await get({ Range: 'bytes=0-1,4-5' })).toEqual([200, '11', BYTES]);
  expect(await get({ Range: 'lines=900-' })).toEqual([200, '11', BYTES]);
  const outside = await fetch(url, { headers: { Range: 'bytes=11-' } });
  expect([outside.status, outside.headers.get('Content-Range')]).toEqual([416, 'bytes */11']);
});

test('a form without end is answered as soon as it breaks the rules', async () => {
  const wanted = terms();
  const beginnings = [
    `${await fieldsOf(wanted)}${part('file', 'x'.repeat(1000), '; filename="x"').slice(0, -2)}`,
    part('key', 'x'.repeat(9000)).slice(0, -2),
    Array.from({ length: 12 }, (_, index) => part(`field${index}`, 'x')).join(''),
    `${part('key', 'one')}${part('key', 'two')}--b\r\n`,
    part('file', 'without any fields', '; filename="x"').slice(0, -2),
    `${await fieldsOf(wanted)}${part('other', 'x', '; filename="x"').slice(0, -2)}`,
    'a preamble ',
  ];
  const answers: [number, string][] = [];
  for (const beginning of beginnings) {
    const sending = formRequest(`${opened.url}/store`);
    sending.on('error', () => undefined);
    sending.write(beginning);
    const more = (): void => void (sending.destroyed || sending.write('y'.repeat(16 * 1024), more));
    more();
    answers.push(await answerTo(sending));
    sending.destroy();
  }
  expect(answers).toEqual([
    [413, 'too_large'],
    [413, 'too_large'],
    [403, 'link_invalid'],
    [403, 'link_invalid'],
    [403, 'link_invalid'],
    [400, 'invalid_request'],
    [413, 'too_large'],
  ]);
  expect(await opened.store.head(wanted.key)).toBeNull();
  expect(await opened.unfinished()).toEqual([]);
});

test('a form that is not well-formed, or has no file, or fields after it, keeps nothing', async () => {
  const wanted = terms();
  const fields = await fieldsOf(wanted);
  const file = part('file', BYTES, '; filename="x"');
  const refused: [string, [number, string]][] = [
    [`${fields}--b--\r\n`, [400, 'invalid_request']],
    [`${fields}${file}`, [400, 'invalid_request']],
    [`${fields}${file}${part('acl', 'public')}--b--\r\n`, [400, 'invalid_request']],
    [`${fields}${file}${file}--b--\r\n`, [400, 'invalid_request']],
    [`${fields}${part('sha256', SHA256)}${file}--b--\r\n`, [403, 'link_invalid']],
    [`${fields}${part('file', 'hello world and more', '; filename="x"')}--b--\r\n`, [413, 'too_large']],
    [`${fields}${part('file', 'hello', '; filename="x"')}--b--\r\n`, [403, 'link_invalid']],
  ];
  for (const [body, expected] of refused) {
    const sending = formRequest(`${opened.url}/store`);
    sending.end(body);
    expect([body.slice(-60), await answerTo(sending)]).toEqual([body.slice(-60), expected]);
  }
  const unbounded = await fetch(`${opened.url}/store`, { method: 'POST', headers: { 'Content-Type': 'multipart/form-data' }, body: 'x' });
  expect(await codeOf(unbounded)).toEqual([400, 'invalid_request']);
  expect(await codeOf(await fetch(`${opened.url}/store`, { method: 'POST', body: 'x' }))).toEqual([400, 'invalid_request']);
  expect(await opened.store.head(wanted.key)).toBeNull();
  expect(await opened.unfinished()).toEqual([]);
});

test.each(['form', 'put', 'part'])('a %s whose client goes away leaves nothing', async (kind) => {
  const wanted = terms({ size: MIB });
  const multipartId = await opened.store.createMultipart(wanted.key, 'text/plain');
  const { url, headers } =
    kind === 'put' ? await opened.presigner.put(wanted) : await opened.presigner.part({ ...wanted, multipartId, partNumber: 1 });
  const sending =
    kind === 'form' ? formRequest(`${opened.url}/store`) : request(url, { method: 'PUT', headers: { ...headers, 'Content-Length': MIB } });
  sending.on('error', () => undefined);
  sending.write(kind === 'form' ? `${await fieldsOf(wanted)}${part('file', 'x', '; filename="x"').slice(0, -2)}` : 'x');
  await eventually(async () => expect(await opened.unfinished()).toHaveLength(1));
  sending.destroy();
  await eventually(async () => expect(await opened.unfinished()).toEqual([]));
  expect(await opened.store.head(wanted.key)).toBeNull();
  expect(await opened.store.listParts(wanted.key, multipartId)).toEqual([]);
});

test('a disk without room is 507, before the body is read', async () => {
  const full = await openDiskStore({ minFreeBytes: Number.MAX_SAFE_INTEGER });
  try {
    const { url, headers } = await full.presigner.put({ ...terms(), expiresAt: full.clock() + 60_000 });
    expect(await codeOf(await fetch(url, { method: 'PUT', headers, body: BYTES }))).toEqual([507, 'spool_full']);
  } finally {
    await full.close();
  }
});
