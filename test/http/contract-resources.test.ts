import { describe, expect, test } from '@jest/globals';
import { follow } from '../support/api-client.ts';
import { NO_SUCH_ID } from '../support/samples.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();
const stored = async (): Promise<string> => (await suite.api.raw('direct', 'x')).body.id;
const sent = async (): Promise<string> => {
  const { body } = await suite.api.presign({ size: 4 });
  await follow(body.request, 'sent');
  return body.upload.id;
};
const linked = async (id: string) => (await suite.api.upload(id)).body.resource;

describe('a resource', () => {
  test('is created and changed, completes what is pending, and links by id, key and url', async () => {
    const [byId, byUrl, byKey] = [await sent(), (await suite.api.raw('direct', 'x')).body, (await suite.api.presigned('key')).location];
    const path = '/v1/resources/album/42';
    const created = await suite.api.json('PUT', path, {
      attributes: { title: 'Cat' },
      uploads: [{ id: byId }, { url: byUrl.url }, { key: byKey?.key }],
    });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({ type: 'album', id: '42', attributes: { title: 'Cat' } });
    expect(created.body.uploads.map(({ state }) => state)).toEqual(['stored', 'stored', 'stored']);
    expect(created.headers.get('etag')).toMatch(/^"[^"]+"$/);
    expect(await linked(byId)).toEqual({ type: 'album', id: '42' });

    const changed = await suite.api.json('PUT', path, { attributes: { title: 'Dog' }, uploads: [{ id: byUrl.id }] });
    expect(changed.status).toBe(200);
    expect(await linked(byId)).toBeNull();
    expect(await linked(byUrl.id)).toEqual({ type: 'album', id: '42' });
    const read = await suite.api.get(path);
    expect(read.body).toMatchObject({ attributes: { title: 'Dog' }, uploads: [{ id: byUrl.id }] });
    expect(read.headers.get('etag')).toBe(changed.headers.get('etag'));
    expect(changed.headers.get('etag')).not.toBe(created.headers.get('etag'));
  });

  test('is changed only if it still is what If-Match names', async () => {
    const path = '/v1/resources/post/if-match';
    const missing = await suite.api.json('PUT', path, { attributes: {}, uploads: [] }, { 'If-Match': '"x"' });
    expect([missing.status, missing.body.code]).toEqual([412, 'precondition_failed']);
    const first = await suite.api.json('PUT', path, { attributes: { n: 1 }, uploads: [] });
    const etag = first.headers.get('etag') ?? '';
    expect((await suite.api.json('PUT', path, { attributes: { n: 2 }, uploads: [] }, { 'If-Match': etag })).status).toBe(200);
    const stale = await suite.api.json('PUT', path, { attributes: { n: 3 }, uploads: [] }, { 'If-Match': etag });
    expect([stale.status, stale.body.code]).toEqual([412, 'precondition_failed']);
    expect((await suite.api.get(path)).body.attributes).toEqual({ n: 2 });
  });

  test('stays as it is when one of its files cannot be linked, with one error per file; what was completed stays stored', async () => {
    const path = '/v1/resources/post/unchanged';
    const before = await stored();
    const first = await suite.api.json('PUT', path, { attributes: { n: 1 }, uploads: [{ id: before }] });
    const completed = await sent();
    const missing = (await suite.api.presign({ size: 4 })).body.upload.id;
    const refused = await suite.api.json('PUT', path, {
      attributes: { n: 2 },
      uploads: [
        { id: completed },
        { id: missing },
        { id: NO_SUCH_ID },
        { url: 'http://169.254.169.254/latest/meta-data' },
        { key: '../../etc/passwd' },
      ],
    });
    expect([refused.status, refused.body.code]).toEqual([422, 'resource_uploads_invalid']);
    expect(refused.body.errors.map(({ pointer, code }) => [pointer.replace(/(\d)\/.*$/, '$1'), code])).toEqual([
      ['/uploads/1', 'not_uploaded'],
      ['/uploads/2', 'not_found'],
      ['/uploads/3', 'not_found'],
      ['/uploads/4', 'not_found'],
    ]);
    const after = await suite.api.get(path);
    expect(after.headers.get('etag')).toBe(first.headers.get('etag'));
    expect(after.body).toMatchObject({ attributes: { n: 1 }, uploads: [{ id: before }] });
    expect(await linked(before)).toEqual({ type: 'post', id: 'unchanged' });
    expect((await suite.api.upload(completed)).body).toMatchObject({ state: 'stored', resource: null });
  });

  test('is deleted without its files', async () => {
    const id = await stored();
    await suite.api.json('PUT', '/v1/resources/post/gone', { attributes: {}, uploads: [{ id }] });
    expect((await suite.api.send('DELETE', '/v1/resources/post/gone')).status).toBe(204);
    expect((await suite.api.get('/v1/resources/post/gone')).status).toBe(404);
    expect((await suite.api.upload(id)).body).toMatchObject({ state: 'stored', resource: null });
    expect(await suite.api.content(id)).toBe('x');
  });

  test('moves a file from another one', async () => {
    const id = await stored();
    await suite.api.json('PUT', '/v1/resources/post/from', { attributes: {}, uploads: [{ id }] });
    await suite.api.json('PUT', '/v1/resources/post/to', { attributes: {}, uploads: [{ id }] });
    expect(await linked(id)).toEqual({ type: 'post', id: 'to' });
    expect((await suite.api.get('/v1/resources/post/from')).body.uploads).toEqual([]);
  });

  test('written twenty times at once is one of the twenty', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, stored));
    const path = '/v1/resources/post/contended';
    const answers = await Promise.all(ids.map((id, n) => suite.api.json('PUT', path, { attributes: { n }, uploads: [{ id }] })));
    for (const { status, body } of answers) if (status >= 300) expect([status, body.code]).toEqual([409, 'conflict']);
    const { body } = await suite.api.get(path);
    expect(body.uploads.map(({ id }) => id)).toEqual([ids[body.attributes.n as number]]);
    const links = await Promise.all(ids.map(linked));
    expect(links.filter((link) => link !== null)).toHaveLength(1);
  });
});
