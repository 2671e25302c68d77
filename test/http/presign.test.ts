import { expect, test } from '@jest/globals';
import { ApiClient, follow } from '../support/api-client.ts';
import { startServer } from '../support/server-under-test.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer({
  MAX_UPLOAD_BYTES: '20MiB',
  SINGLE_PART_BYTES: '6MiB',
  PART_BYTES: '5MiB',
  ALLOWED_TYPES: 'application/octet-stream,image/*',
});
const MIB = 1024 ** 2;
const post = (path: string, body?: unknown) => suite.api.json('POST', `/v1/uploads/${path}`, body);
const announced = async (size: number): Promise<string> => (await suite.api.presign({ size })).body.upload.id;

test.each<[string, object, string]>([
  ['no size', { filename: 'a', contentType: 'image/png' }, '/size'],
  ['a size below zero', { filename: 'a', contentType: 'image/png', size: -1 }, '/size'],
  ['a size that is no whole number', { filename: 'a', contentType: 'image/png', size: 1.5 }, '/size'],
  ['a size beyond all numbers', { filename: 'a', contentType: 'image/png', size: 2 ** 60 }, '/size'],
  ['a type that is none', { filename: 'a', contentType: 'image', size: 1 }, '/contentType'],
  ['a type with a line break', { filename: 'a', contentType: 'image/png\r\nX: y', size: 1 }, '/contentType'],
  ['a type whose parameter comes on a line of its own', { filename: 'a', contentType: 'image/png\n;a=b', size: 1 }, '/contentType'],
  ['a type with a letter that is no ASCII', { filename: 'a', contentType: 'image/\u212apeg', size: 1 }, '/contentType'],
  ['another method', { filename: 'a', contentType: 'image/png', size: 1, method: 'GET' }, '/method'],
  ['an unknown member', { filename: 'a', contentType: 'image/png', size: 1, key: '../x' }, '/key'],
  ['a form for what is sent in parts', { filename: 'a', contentType: 'image/png', size: 7 * MIB, method: 'POST' }, '/method'],
])('%s is refused', async (_, body, pointer) => {
  const answer = await post('presign', body);
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  expect(answer.body.errors.map((error) => error.pointer)).toContain(pointer);
});

test('what the server does not take is refused before a byte is sent', async () => {
  const large = await suite.api.presign({ size: 20 * MIB + 1 });
  expect([large.status, large.body.code, large.body.limit]).toEqual([413, 'too_large', 20 * MIB]);
  const video = await suite.api.presign({ size: 1, contentType: 'video/mp4' });
  expect([video.status, video.body.code, video.body.expected]).toEqual([415, 'type_not_allowed', ['application/octet-stream', 'image/*']]);
});

test('the answer names the upload, the link, and nothing else', async () => {
  const { status, headers, body } = await suite.api.presign({ size: 3 });
  expect(status).toBe(201);
  expect(headers.get('location')).toBe(`${suite.server.url}/v1/uploads/${body.upload.id}`);
  expect(Object.keys(body).sort()).toEqual(['request', 'upload']);
  expect(Object.keys(body.request).sort()).toEqual(['expiresAt', 'headers', 'method', 'url']);
  const { body: parts } = await suite.api.presign({ size: 7 * MIB });
  expect(Object.keys(parts).sort()).toEqual(['multipart', 'upload']);
  expect(parts.multipart).toEqual({ partSize: 5 * MIB, partCount: 2, expiresAt: parts.upload.expiresAt });
});

test('a part named twice, none, too many, or one that there is not', async () => {
  const id = await announced(7 * MIB);
  for (const partNumbers of [[], [1, 1], [0], [3], [1.5], ['1'], Array.from({ length: 1001 }, (_, i) => i + 1)]) {
    const answer = await post(`${id}/parts`, { partNumbers });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  }
  const { body } = await post(`${id}/parts`, { partNumbers: [2, 1] });
  expect(body.parts.map(({ partNumber }) => partNumber)).toEqual([2, 1]);
});

test('links and parts are for the uploads that they are made for', async () => {
  const [single, multipart] = [await announced(1), await announced(7 * MIB)];
  const answers = [
    await post(`${single}/parts`, { partNumbers: [1] }),
    await suite.api.get(`/v1/uploads/${single}/parts`),
    await post(`${single}/complete`, { parts: [{ partNumber: 1, etag: 'x' }] }),
    await post(`${multipart}/link`),
  ];
  for (const { status, body } of answers) expect([status, body.code, body.actual]).toEqual([409, 'invalid_state', 'pending']);
});

test('completion takes no body, an empty one, and none that it does not know', async () => {
  for (const body of [undefined, {}]) {
    const { body: order } = await suite.api.presign({ size: 1 });
    await follow(order.request, 'x');
    expect((await suite.api.complete(order.upload.id, body)).status).toBe(200);
  }
  const id = await announced(1);
  for (const body of [{ force: true }, { parts: [] }, { parts: [{ partNumber: 1 }] }, { resource: { type: 'post' } }, []])
    expect((await suite.api.complete(id, body)).status).toBe(400);
});

test('a completion that is not awaited is answered 202 with where to look', async () => {
  await using server = await startServer({ COMPLETE_WAIT_SECONDS: '0' });
  const api = new ApiClient(server.url);
  const { body } = await api.presign({ size: 65 * MIB });
  await follow(body.request, new Uint8Array(65 * MIB));
  const completed = await api.complete(body.upload.id);
  expect([completed.status, completed.body.state]).toEqual([202, 'verifying']);
  expect(completed.headers.get('location')).toBe(`${server.url}/v1/uploads/${body.upload.id}`);
  expect(Number(completed.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await api.settled(body.upload.id)).state).toBe('stored');
  expect((await api.complete(body.upload.id)).status).toBe(200);
});

test('an unknown id is 404 everywhere', async () => {
  for (const id of ['01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99', 'nonsense']) {
    for (const path of ['link', 'complete']) expect((await post(`${id}/${path}`)).status).toBe(404);
    expect((await post(`${id}/parts`, { partNumbers: [1] })).status).toBe(404);
    expect((await suite.api.get(`/v1/uploads/${id}/parts`)).status).toBe(404);
  }
});
