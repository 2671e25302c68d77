import { describe, expect, test } from '@jest/globals';
import { type Bytes, follow } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { sha256Of } from '../support/random-file.ts';
import { PNG } from '../support/samples.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();

describe.each(['PUT', 'POST'] as const)('a presigned %s', (method) => {
  test('takes the bytes by the link, and is stored by completion', async () => {
    const order = {
      size: 5,
      filename: 'five.txt',
      contentType: 'text/plain',
      metadata: { a: 'b' },
      resource: { type: 'post', id: '1' },
      method,
    };
    const presigned = await suite.api.presign(order);
    expect(presigned.status).toBe(201);
    const { upload, request } = presigned.body;
    expect(upload).toMatchObject({
      strategy: 'presign',
      state: 'pending',
      sha256: null,
      url: null,
      filename: 'five.txt',
      metadata: { a: 'b' },
    });
    expect(Date.parse(upload.expiresAt ?? '')).toBeGreaterThan(Date.now());
    expect(request.method).toBe(method);
    expect(Object.keys(request.headers).map((name) => name.toLowerCase())).not.toContain('content-length');
    expect(Object.keys(request.headers).map((name) => name.toLowerCase())).not.toContain('host');
    expect(Date.parse(request.expiresAt)).toBeGreaterThan(Date.now());
    if (method === 'POST') expect(request.fields).toBeDefined();

    expect((await follow(request, '12345')).ok).toBe(true);
    const completed = await suite.api.complete(upload.id);
    expect(completed.status).toBe(200);
    expect(completed.body).toMatchObject({
      id: upload.id,
      state: 'stored',
      sha256: sha256Of('12345'),
      size: 5,
      resource: { type: 'post', id: '1' },
    });
    expect(await suite.api.content(upload.id)).toBe('12345');
  });

  test('with a declared digest refuses other bytes of the same size, at the link or at completion, and never serves them', async () => {
    const { body } = await suite.api.presign({ size: 5, sha256: sha256Of('right'), method });
    const sent = await follow(body.request, 'wrong');
    const completed = await suite.api.complete(body.upload.id);
    if (sent.ok) expect([completed.status, completed.body.code]).toEqual([422, 'digest_mismatch']);
    else expect([completed.status, completed.body.code]).toEqual([409, 'not_uploaded']);
    expect((await suite.api.get(`/v1/uploads/${body.upload.id}/content`)).status).toBe(409);
  });

  test('refuses another size', async () => {
    for (const bytes of ['1234', '123456']) {
      const { body } = await suite.api.presign({ size: 5, method });
      const sent = await follow(body.request, bytes);
      const completed = await suite.api.complete(body.upload.id);
      if (sent.ok) expect([completed.status, completed.body.code]).toEqual([422, 'size_mismatch']);
      else expect([completed.status, completed.body.code]).toEqual([409, 'not_uploaded']);
    }
  });

  test('refuses first bytes that contradict the declared type, and discards them', async () => {
    const { body } = await suite.api.presign({ size: PNG.length, contentType: 'image/jpeg', method });
    const sent = await follow(body.request, PNG as Bytes);
    expect(sent.ok).toBe(true);
    const completed = await suite.api.complete(body.upload.id);
    expect([completed.status, completed.body.code]).toEqual([422, 'content_mismatch']);
    const after = await suite.api.upload(body.upload.id);
    expect(after.body).toMatchObject({ state: 'failed', url: null, error: { code: 'content_mismatch' } });
    await eventually(async () => expect((await suite.server.storedFiles()).join()).not.toContain(body.upload.id));
    const again = await suite.api.complete(body.upload.id);
    expect([again.status, again.body.code]).toEqual([422, 'content_mismatch']);
  });
});

describe('completion', () => {
  test('of what was never sent is 409', async () => {
    const { body } = await suite.api.presign({ size: 5 });
    const { status, body: problem } = await suite.api.complete(body.upload.id);
    expect([status, problem.code]).toEqual([409, 'not_uploaded']);
    expect((await suite.api.upload(body.upload.id)).body.state).toBe('pending');
  });

  test('repeated after success gives the same answer', async () => {
    const stored = await suite.api.presigned('again');
    const again = await suite.api.complete(stored.id);
    expect(again.status).toBe(200);
    expect(again.body).toEqual(stored);
  });

  test('twenty times at once stores one upload', async () => {
    const { body } = await suite.api.presign({ size: 6 });
    await follow(body.request, 'twenty');
    const answers = await Promise.all(Array.from({ length: 20 }, () => suite.api.complete(body.upload.id)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map((answer) => answer.body.storedAt)).size).toBe(1);
    expect(await suite.api.content(body.upload.id)).toBe('twenty');
  });

  test('can link a resource', async () => {
    const { body } = await suite.api.presign({ size: 1 });
    await follow(body.request, 'x');
    const { body: completed } = await suite.api.complete(body.upload.id, { resource: { type: 'order', id: '9' } });
    expect(completed.resource).toEqual({ type: 'order', id: '9' });
  });

  test('is not for uploads of other strategies', async () => {
    const { body } = await suite.api.raw('direct', 'x');
    for (const path of ['complete', 'link']) {
      const answer = await suite.api.json('POST', `/v1/uploads/${body.id}/${path}`);
      expect([answer.status, answer.body.code]).toEqual([409, 'invalid_state']);
    }
  });
});

test('a late PUT with a link that still works does not change what was completed', async () => {
  const { body } = await suite.api.presign({ size: 8 });
  await follow(body.request, 'original');
  const { body: completed } = await suite.api.complete(body.upload.id);
  await follow(body.request, 'replaced');
  expect(await suite.api.content(body.upload.id)).toBe('original');
  const again = await suite.api.complete(body.upload.id);
  expect(again.body.sha256).toBe(completed.sha256);
  expect(await suite.api.contentDigest(body.upload.id)).toMatchObject({ sha256: sha256Of('original') });
});

test('a second PUT before completion replaces the first', async () => {
  const { body } = await suite.api.presign({ size: 5 });
  await follow(body.request, 'first');
  await follow(body.request, 'later');
  expect((await suite.api.complete(body.upload.id)).body.sha256).toBe(sha256Of('later'));
});

test('a fresh link works beside the first, and is refused once the upload is stored', async () => {
  const { body } = await suite.api.presign({ size: 5 });
  const fresh = await suite.api.json('POST', `/v1/uploads/${body.upload.id}/link`);
  expect(fresh.status).toBe(200);
  expect((await follow(fresh.body.request, 'fresh')).ok).toBe(true);
  expect((await suite.api.complete(body.upload.id)).status).toBe(200);
  const late = await suite.api.json('POST', `/v1/uploads/${body.upload.id}/link`);
  expect([late.status, late.body.code]).toEqual([409, 'invalid_state']);
});
