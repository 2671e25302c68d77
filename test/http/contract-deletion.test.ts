import { describe, expect, test } from '@jest/globals';
import { follow, type UploadView } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer({ RECONCILE_INTERVAL_SECONDS: '1', ORPHAN_GRACE_SECONDS: '1', SINGLE_PART_BYTES: '1MiB' });

const SITUATIONS: [string, () => Promise<string>][] = [
  ['stored directly', async () => (await suite.api.raw('direct', 'x')).body.id],
  ['just accepted for the relay', async () => (await suite.api.raw('relay', 'x')).body.id],
  ['stored by the relay', async () => (await suite.api.settled((await suite.api.raw('relay', 'x')).body.id)).id],
  ['pending', async () => (await suite.api.presign({ size: 1 })).body.upload.id],
  ['pending in parts', async () => (await suite.api.presign({ size: 2_000_000 })).body.upload.id],
  [
    'sent but not completed',
    async () => {
      const { body } = await suite.api.presign({ size: 1 });
      await follow(body.request, 'x');
      return body.upload.id;
    },
  ],
  ['presigned and stored', async () => (await suite.api.presigned('x')).id],
  [
    'failed',
    async () => {
      const { body } = await suite.api.presign({ size: 8, contentType: 'image/png' });
      await follow(body.request, '%PDF-1.7');
      expect((await suite.api.complete(body.upload.id)).status).toBe(422);
      return body.upload.id;
    },
  ],
];

describe.each(SITUATIONS)('an upload that is %s', (_, make) => {
  test('is gone for good once deleted', async () => {
    const id = await make();
    expect((await suite.api.send('DELETE', `/v1/uploads/${id}`)).status).toBe(204);
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/content'],
      ['GET', '/events'],
      ['POST', '/complete'],
      ['POST', '/link'],
      ['DELETE', ''],
    ] as const) {
      const answer = await suite.api.send(method, `/v1/uploads/${id}${path}`);
      expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 404, 'not_found']);
    }
    expect((await suite.api.get('/v1/uploads?limit=200')).body.items.map((item: UploadView) => item.id)).not.toContain(id);
    expect((await suite.api.get('/v1/uploads?limit=200&state=deleted')).body.items.map((item: UploadView) => item.id)).toContain(id);
    await eventually(async () => expect((await suite.server.storedFiles()).filter((path) => path.includes(id))).toEqual([]));
  });
});

test('a link that still works brings nothing back after deletion', async () => {
  const { body } = await suite.api.presign({ size: 4 });
  await suite.api.send('DELETE', `/v1/uploads/${body.upload.id}`);
  await follow(body.request, 'late');
  expect((await suite.api.complete(body.upload.id)).status).toBe(404);
});
