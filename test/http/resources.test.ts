import { describe, expect, test } from '@jest/globals';
import type { Answer } from '../support/api-client.ts';
import { follow } from '../support/api-client.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();
const UNKNOWN = '01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99';

let names = 0;
/** Address of a resource that no other test uses. */
const fresh = (): string => {
  names += 1;
  return `/v1/resources/post/${names}`;
};
const stored = async (text = 'x') => (await suite.api.raw('direct', text)).body;
const put = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  suite.api.json('PUT', path, body, headers);
const uploadsOf = async (path: string): Promise<string[]> => (await suite.api.get(path)).body.uploads.map(({ id }) => id).sort();

test('a resource is created with its uploads, read, changed, and deleted; the files stay', async () => {
  const path = fresh();
  const [a, b] = [await stored('a'), await suite.api.presigned('b')];
  const created = await put(path, {
    attributes: { title: 'Cats', tags: [1, null, { deep: true }] },
    uploads: [{ id: a.id }, { id: b.id }],
  });
  expect(created.status).toBe(201);
  expect(created.headers.get('etag')).toMatch(/^"[^"]+"$/);
  expect(created.body).toMatchObject({ type: 'post', attributes: { title: 'Cats', tags: [1, null, { deep: true }] } });
  expect(created.body.uploads.map(({ id }) => id).sort()).toEqual([a.id, b.id].sort());

  const read = await suite.api.get(path);
  expect([read.status, read.headers.get('etag')]).toEqual([200, created.headers.get('etag')]);
  expect(read.body).toEqual(created.body);
  expect((await suite.api.upload(a.id)).body.resource).toEqual({ type: 'post', id: path.split('/').at(-1) });

  const changed = await put(path, { uploads: [{ id: b.id }] });
  expect(changed.status).toBe(200);
  expect(changed.headers.get('etag')).not.toBe(created.headers.get('etag'));
  expect(changed.body.attributes).toEqual(created.body.attributes);
  expect((await suite.api.upload(a.id)).body.resource).toBeNull();

  expect((await suite.api.send('DELETE', path)).status).toBe(204);
  expect((await suite.api.get(path)).status).toBe(404);
  expect((await suite.api.send('DELETE', path)).status).toBe(404);
  expect((await suite.api.upload(b.id)).body).toMatchObject({ state: 'stored', resource: null });
  expect(await suite.api.content(b.id)).toBe('b');
});

test('uploads are named by id, key or url, each counted once; pending ones are completed', async () => {
  const path = fresh();
  const a = await stored();
  const { body: announced } = await suite.api.presign({ size: 5 });
  await follow(announced.request, 'hello');
  const { pathname } = new URL(announced.request.url);
  const key = pathname.slice(pathname.indexOf('staging/'));
  const answer = await put(path, { uploads: [{ url: a.url }, { id: a.id }, { key: a.location?.key }, { key }] });
  expect(answer.status).toBe(201);
  expect(await uploadsOf(path)).toEqual([a.id, announced.upload.id].sort());
  expect((await suite.api.upload(announced.upload.id)).body.state).toBe('stored');
});

test('one upload that cannot be linked is named, and nothing changes', async () => {
  const path = fresh();
  const a = await stored();
  const before = await put(path, { attributes: { n: 1 }, uploads: [{ id: a.id }] });
  const b = await stored();
  const { body: never } = await suite.api.presign({ size: 5 });
  const wrong = await put(path, {
    attributes: { n: 2 },
    uploads: [
      { id: b.id },
      { id: never.upload.id },
      { id: UNKNOWN },
      { key: '../../etc/passwd' },
      { url: 'http://169.254.169.254/latest' },
      { url: 'no url' },
    ],
  });
  expect([wrong.status, wrong.body.code]).toEqual([422, 'resource_uploads_invalid']);
  expect(wrong.body.errors.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([
    '/uploads/1 not_uploaded',
    '/uploads/2 not_found',
    '/uploads/3 not_found',
    '/uploads/4 not_found',
    '/uploads/5 not_found',
  ]);
  const after = await suite.api.get(path);
  expect(after.body).toEqual(before.body);
  expect(after.headers.get('etag')).toBe(before.headers.get('etag'));
});

test('an upload belongs to the resource that named it last, and vanishes when it is deleted', async () => {
  const [first, second] = [fresh(), fresh()];
  const a = await stored();
  await put(first, { uploads: [{ id: a.id }] });
  await put(second, { uploads: [{ id: a.id }] });
  expect([await uploadsOf(first), await uploadsOf(second)]).toEqual([[], [a.id]]);
  await suite.api.send('DELETE', `/v1/uploads/${a.id}`);
  expect(await uploadsOf(second)).toEqual([]);
  expect((await put(second, { uploads: [{ id: a.id }] })).body.errors).toMatchObject([{ pointer: '/uploads/0', code: 'not_found' }]);
});

describe('conditions', () => {
  test('If-Match keeps two writers from overwriting each other', async () => {
    const path = fresh();
    const missing = await put(path, { uploads: [] }, { 'If-Match': '*' });
    expect([missing.status, missing.body.code]).toEqual([412, 'precondition_failed']);
    const tag = (await put(path, { uploads: [] })).headers.get('etag') ?? '';
    const answers = await Promise.all([1, 2, 3].map((n) => put(path, { attributes: { n }, uploads: [] }, { 'If-Match': tag })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412]);
    const weak = (await suite.api.get(path)).headers.get('etag');
    expect((await put(path, { uploads: [] }, { 'If-Match': `W/${weak}` })).status).toBe(412);
    expect((await put(path, { uploads: [] }, { 'If-Match': `"other", ${weak}` })).status).toBe(200);
    expect((await suite.api.send('DELETE', path, { headers: { 'If-Match': tag } })).status).toBe(412);
    expect((await put(path, { uploads: [] }, { 'If-Match': 'no-quotes' })).status).toBe(400);
  });

  test('If-None-Match: * creates only', async () => {
    const path = fresh();
    const answers = await Promise.all([1, 2, 3].map((n) => put(path, { attributes: { n }, uploads: [] }, { 'If-None-Match': '*' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 412, 412]);
  });

  test('an ETag of a resource that was deleted does not fit the one made after it', async () => {
    const path = fresh();
    const tag = (await put(path, { uploads: [] })).headers.get('etag') ?? '';
    await suite.api.send('DELETE', path);
    await put(path, { uploads: [] });
    expect((await put(path, { uploads: [] }, { 'If-Match': tag })).status).toBe(412);
  });
});

test('PUTs at once end as one of them', async () => {
  const path = fresh();
  const files = await Promise.all(Array.from({ length: 6 }, () => stored()));
  const lists = files.map((_, i) => files.slice(i, i + 2).map(({ id }) => ({ id })));
  const answers = await Promise.all(lists.map((uploads, n) => put(path, { attributes: { n }, uploads })));
  for (const { status } of answers) expect([200, 201]).toContain(status);
  const { body } = await suite.api.get(path);
  const winner = lists[Number(body.attributes.n)] ?? [];
  expect(body.uploads.map(({ id }) => id).sort()).toEqual(winner.map(({ id }) => id).sort());
});

test.each<[string, unknown, string]>([
  ['no list of uploads', {}, '/uploads'],
  ['an unknown member', { uploads: [], title: 'x' }, '/title'],
  ['a reference with two names', { uploads: [{ id: UNKNOWN, key: 'k' }] }, '/uploads/0'],
  ['a reference with no name', { uploads: [{}] }, '/uploads/0'],
  ['an unknown name', { uploads: [{ name: 'x' }] }, '/uploads/0/name'],
  ['too many references', { uploads: Array.from({ length: 101 }, () => ({ id: UNKNOWN })) }, '/uploads'],
  ['attributes that are no object', { uploads: [], attributes: [1] }, '/attributes'],
])('%s is refused', async (_, body, pointer) => {
  const path = fresh();
  const answer = await put(path, body);
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  expect(answer.body.errors.map((error) => error.pointer)).toContain(pointer);
  expect((await suite.api.get(path)).status).toBe(404);
});

test('attributes nested without end are refused, not followed', async () => {
  const deep = `{"uploads":[],"attributes":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`;
  const answer = await suite.api.send('PUT', fresh(), { body: deep, headers: { 'Content-Type': 'application/json' } });
  expect(answer.status).toBe(400);
});

test.each(['/v1/resources/post/a%2Fb', '/v1/resources/p%20q/1', '/v1/resources/post/%00'])('%s is not found', async (path) => {
  expect((await put(path, { uploads: [] })).status).toBe(404);
});
