import { describe, expect, test } from '@jest/globals';
import type { Bytes } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { RandomFile, sha256Of } from '../support/random-file.ts';
import { useServer } from '../support/suite.ts';

const MIB = 1024 ** 2;
const suite = useServer({ SINGLE_PART_BYTES: '1MiB', PART_BYTES: '5MiB' });
const file = new RandomFile(11 * MIB + 17, 'in parts');

async function begin(order = {}) {
  const { status, body } = await suite.api.presign({ size: file.size, filename: 'large.bin', ...order });
  expect(status).toBe(201);
  expect(body.multipart).toMatchObject({ partSize: 5 * MIB, partCount: 3 });
  return body.upload.id;
}

async function sendPart(id: string, partNumber: number, bytes?: Bytes): Promise<Response> {
  const { status, body } = await suite.api.json('POST', `/v1/uploads/${id}/parts`, { partNumbers: [partNumber] });
  expect(status).toBe(200);
  const [link] = body.parts;
  const start = (partNumber - 1) * 5 * MIB;
  const part = bytes ?? ((await file.bytes(start, Math.min(start + 5 * MIB, file.size))) as Bytes);
  return fetch(link?.url ?? '', { method: 'PUT', headers: link?.headers ?? {}, body: part });
}

describe('an upload in parts', () => {
  test('is put together by completion', async () => {
    const id = await begin();
    for (const partNumber of [3, 1, 2]) {
      const sent = await sendPart(id, partNumber);
      expect(sent.ok).toBe(true);
      expect(sent.headers.get('etag')).toMatch(/^"[^"]+"$/);
    }
    const completed = await suite.api.complete(id);
    expect(completed.status).toBe(200);
    expect(completed.body).toMatchObject({ state: 'stored', size: file.size, sha256: await file.sha256() });
    expect(await suite.api.contentDigest(id)).toEqual({ status: 200, size: file.size, sha256: await file.sha256() });
    expect((await suite.api.complete(id)).body).toEqual(completed.body);
  });

  test('tells which parts it has, so that a client can go on after an interruption', async () => {
    const id = await begin({ sha256: await file.sha256() });
    const etags = new Map<number, string | null>();
    etags.set(2, (await sendPart(id, 2)).headers.get('etag'));
    const listed = await suite.api.get(`/v1/uploads/${id}/parts`);
    expect(listed.body.parts).toEqual([{ partNumber: 2, etag: expect.any(String), size: 5 * MIB }]);
    expect(etags.get(2)).toBe(`"${listed.body.parts[0]?.etag.replaceAll('"', '')}"`);

    const early = await suite.api.complete(id);
    expect([early.status, early.body.code]).toEqual([409, 'not_uploaded']);
    for (const partNumber of [1, 3]) etags.set(partNumber, (await sendPart(id, partNumber)).headers.get('etag'));
    const parts = [1, 2, 3].map((partNumber) => ({ partNumber, etag: etags.get(partNumber) }));
    const wrong = await suite.api.complete(id, { parts: parts.map((part) => ({ ...part, etag: '"no-such-etag"' })) });
    expect([wrong.status, wrong.body.code]).toEqual([409, 'not_uploaded']);
    const completed = await suite.api.complete(id, { parts });
    expect(completed.status).toBe(200);
    expect(completed.body.sha256).toBe(await file.sha256());
  });

  test('may name as many parts as there can be', async () => {
    const id = await begin();
    const parts = Array.from({ length: 10_000 }, (_, index) => ({
      partNumber: index + 1,
      etag: `"${sha256Of(String(index)).slice(0, 32)}"`,
    }));
    const { status, body } = await suite.api.complete(id, { parts });
    expect([status, body.code]).not.toEqual([413, 'too_large']);
    expect(status).toBeLessThan(500);
  });

  test('takes a part sent again', async () => {
    const id = await begin();
    await sendPart(id, 1, Buffer.alloc(5 * MIB, 'x') as Bytes);
    for (const partNumber of [1, 2, 3]) await sendPart(id, partNumber);
    expect((await suite.api.complete(id)).body.sha256).toBe(await file.sha256());
  });

  test('refuses a part of another size', async () => {
    const id = await begin();
    expect((await sendPart(id, 1, 'short')).ok).toBe(false);
    expect((await suite.api.get(`/v1/uploads/${id}/parts`)).body.parts).toEqual([]);
  });

  test('is refused and discarded when the whole has another digest than declared', async () => {
    const id = await begin({ sha256: sha256Of('something else') });
    for (const partNumber of [1, 2, 3]) await sendPart(id, partNumber);
    const completed = await suite.api.complete(id);
    expect([completed.status, completed.body.code]).toEqual([422, 'digest_mismatch']);
    await eventually(async () => expect((await suite.server.storedFiles()).join()).not.toContain(id));
  });

  test.each([
    ['a number that the upload has not', [4]],
    ['zero', [0]],
    ['none', []],
    ['no number', ['1']],
    ['a fraction', [1.5]],
  ])('signs no part for %s', async (_, partNumbers) => {
    const id = await begin();
    const { status, body } = await suite.api.json('POST', `/v1/uploads/${id}/parts`, { partNumbers });
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });

  test('has no single link, and a single upload has no parts', async () => {
    const id = await begin();
    expect((await suite.api.json('POST', `/v1/uploads/${id}/link`)).status).toBe(409);
    const single = (await suite.api.presign({ size: 5 })).body.upload.id;
    expect((await suite.api.json('POST', `/v1/uploads/${single}/parts`, { partNumbers: [1] })).status).toBe(409);
  });

  test('leaves nothing when it is deleted half-way', async () => {
    const id = await begin();
    await sendPart(id, 1);
    expect((await suite.api.send('DELETE', `/v1/uploads/${id}`)).status).toBe(204);
    await eventually(async () => expect((await suite.server.storedFiles()).join()).not.toContain(id));
  });
});
