import { describe, expect, test } from '@jest/globals';
import { contentDigest } from '../support/api-client.ts';
import { fileForm, form } from '../support/form.ts';
import { expectNoLeftovers } from '../support/leftovers.ts';
import { sha256Of } from '../support/random-file.ts';
import { PNG, UUID_V7 } from '../support/samples.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();

describe('a direct upload', () => {
  test('of raw bytes is stored when it is answered, and reads back', async () => {
    const bytes = 'hello, windlass';
    const { status, headers, body } = await suite.api.raw('direct', bytes, { type: 'text/plain' });
    expect(status).toBe(201);
    expect(body.id).toMatch(UUID_V7);
    expect(new URL(headers.get('location') ?? '', suite.server.url).pathname).toBe(`/v1/uploads/${body.id}`);
    expect(body).toMatchObject({
      strategy: 'direct',
      state: 'stored',
      filename: 'upload',
      contentType: 'text/plain',
      size: bytes.length,
      sha256: sha256Of(bytes),
      url: `${suite.server.url}/v1/uploads/${body.id}/content`,
      location: { store: 'disk', bucket: null },
      resource: null,
      metadata: {},
      error: null,
    });
    expect(Date.parse(body.storedAt ?? '')).not.toBeNaN();
    expect(await (await suite.api.fetch(body.url ?? '')).text()).toBe(bytes);
    expect((await suite.api.upload(body.id)).body).toEqual(body);
  });

  test('of a form takes the file and the fields before it', async () => {
    const { status, body } = await suite.api.form(
      'direct',
      fileForm(
        'form bytes',
        { resourceType: 'post', resourceId: '42', metadata: '{"album":"2026"}', sha256: sha256Of('form bytes') },
        { filename: 'cat.txt', type: 'text/plain' },
      ),
    );
    expect(status).toBe(201);
    expect(body).toMatchObject({
      filename: 'cat.txt',
      contentType: 'text/plain',
      resource: { type: 'post', id: '42' },
      metadata: { album: '2026' },
      sha256: sha256Of('form bytes'),
    });
    expect(await suite.api.content(body.id)).toBe('form bytes');
  });

  test('of raw bytes takes the same fields from the query, and the name from Content-Disposition', async () => {
    const { status, body } = await suite.api.raw('direct', 'x', {
      query: { resourceType: 'post', resourceId: '42', metadata: '{"a":"b"}', sha256: sha256Of('x') },
      headers: { 'Content-Disposition': "attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe%20%E2%9C%93.txt" },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ filename: 'grüße ✓.txt', resource: { type: 'post', id: '42' }, metadata: { a: 'b' } });
  });

  test('may be empty', async () => {
    const { status, body } = await suite.api.raw('direct', '');
    expect(status).toBe(201);
    expect(body).toMatchObject({ size: 0, sha256: sha256Of('') });
    expect(await suite.api.content(body.id)).toBe('');
  });
});

describe('a digest that was declared', () => {
  test('is verified when it comes as Content-Digest', async () => {
    const right = await suite.api.raw('direct', 'abc', { headers: { 'Content-Digest': contentDigest('abc') } });
    expect(right.status).toBe(201);
    const wrong = await suite.api.raw('direct', 'abd', { headers: { 'Content-Digest': contentDigest('abc') } });
    expect(wrong.status).toBe(400);
    expect(wrong.body).toMatchObject({ code: 'digest_mismatch', status: 400 });
    await expectNoLeftovers(suite);
  });

  test.each(['relay', 'direct'] as const)('is verified when it comes as a field of a form (%s)', async (strategy) => {
    const wrong = await suite.api.form(strategy, fileForm('abd', { sha256: sha256Of('abc') }));
    expect(wrong.status).toBe(400);
    expect(wrong.body.code).toBe('digest_mismatch');
    await expectNoLeftovers(suite);
  });

  test('is refused when it is malformed', async () => {
    const { status, body } = await suite.api.raw('direct', 'abc', { headers: { 'Content-Digest': 'sha-256=nonsense' } });
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });
});

describe('a form that is refused', () => {
  const twoFiles = form([
    { name: 'file', filename: 'a', type: 'text/plain', value: 'a' },
    { name: 'file', filename: 'b', type: 'text/plain', value: 'b' },
  ]);
  test.each([
    ['has no file', form([{ name: 'resourceType', value: 'post' }])],
    ['has two files', twoFiles],
    ['has a field nobody knows', fileForm('x', { colour: 'red' })],
    ['has metadata that is no JSON', fileForm('x', { metadata: '{' })],
    ['has metadata that is no object of text', fileForm('x', { metadata: '{"a":1}' })],
    ['names a resource type without an id', fileForm('x', { resourceType: 'post' })],
    ['has a sha256 that is none', fileForm('x', { sha256: 'abc' })],
    ['has its file under another name', form([{ name: 'picture', filename: 'a', type: 'text/plain', value: 'a' }])],
  ])('%s', async (_, body) => {
    const answer = await suite.api.form('direct', body);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    await expectNoLeftovers(suite);
  });

  test('says with pointers which fields are wrong', async () => {
    const { body } = await suite.api.form('direct', fileForm('x', { colour: 'red' }));
    expect(body.errors.map(({ pointer }) => pointer).join()).toContain('colour');
  });
});

test.each(['direct', 'relay'] as const)('bytes of a type that contradicts the declared one are refused (%s)', async (strategy) => {
  const { status, body } = await suite.api.raw(strategy, PNG, { type: 'image/jpeg' });
  expect([status, body.code]).toEqual([422, 'content_mismatch']);
  await expectNoLeftovers(suite);
  expect((await suite.api.raw(strategy, PNG, { type: 'image/png' })).status).toBeLessThan(300);
  expect((await suite.api.raw(strategy, PNG)).status).toBeLessThan(300);
  expect((await suite.api.raw(strategy, 'no known type', { type: 'image/jpeg' })).status).toBeLessThan(300);
});
