import { describe, expect, test } from '@jest/globals';
import { bodyOf, follow } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { RandomFile } from '../support/random-file.ts';
import { useServer } from '../support/suite.ts';

const passed = (time: string | null): Promise<void> =>
  eventually(() => {
    if (Date.now() <= Date.parse(time ?? '')) throw new Error(`${time} has not passed`);
  });

describe('a link that ran out', () => {
  const suite = useServer({ LINK_TTL_SECONDS: '1' });

  test('is refused, and a fresh one for the same upload works', async () => {
    const { body } = await suite.api.presign({ size: 5 });
    await passed(body.request.expiresAt);
    const refused = await follow(body.request, 'tardy');
    expect(refused.status).toBe(403);
    const fresh = await suite.api.json('POST', `/v1/uploads/${body.upload.id}/link`);
    expect(Date.parse(fresh.body.request.expiresAt)).toBeGreaterThan(Date.parse(body.request.expiresAt));
    expect((await follow(fresh.body.request, 'fresh')).ok).toBe(true);
    expect((await suite.api.complete(body.upload.id)).status).toBe(200);
    expect(await suite.api.content(body.upload.id)).toBe('fresh');
  });
});

describe('an upload that is not completed in time', () => {
  const suite = useServer({
    PENDING_TTL_SECONDS: '1',
    RECONCILE_INTERVAL_SECONDS: '1',
    ORPHAN_GRACE_SECONDS: '1',
    SINGLE_PART_BYTES: '1024',
  });

  test('is expired: links, parts and completion are 410', async () => {
    const single = (await suite.api.presign({ size: 5 })).body.upload;
    const parts = (await suite.api.presign({ size: 5000 })).body.upload;
    await passed(parts.expiresAt);
    for (const [path, body] of [
      [`${single.id}/link`, undefined],
      [`${single.id}/complete`, undefined],
      [`${parts.id}/parts`, { partNumbers: [1] }],
      [`${parts.id}/complete`, undefined],
    ] as const) {
      const answer = await suite.api.json('POST', `/v1/uploads/${path}`, body);
      expect([path, answer.status, answer.body.code]).toEqual([path, 410, 'expired']);
    }
    expect((await suite.api.upload(single.id)).body.state).toBe('expired');
  });

  test('leaves nothing behind, whatever had been sent', async () => {
    const { body } = await suite.api.presign({ size: 5 });
    await follow(body.request, 'never');
    await eventually(async () => {
      expect((await suite.api.upload(body.upload.id)).body.state).toBe('expired');
      expect((await suite.server.storedFiles()).join()).not.toContain(body.upload.id);
    });
  });
});

describe('a completion that takes longer than it is waited for', () => {
  const suite = useServer({ COMPLETE_WAIT_SECONDS: '0' });

  test('is answered 202 and finished without the client', async () => {
    const file = new RandomFile(50 * 1024 ** 2, 'verified later');
    const { body } = await suite.api.presign({ size: file.size, sha256: await file.sha256() });
    const sent = await fetch(body.request.url, {
      ...bodyOf(file),
      method: 'PUT',
      headers: { ...body.request.headers, 'Content-Length': String(file.size) },
    });
    expect(sent.ok).toBe(true);
    const accepted = await suite.api.complete(body.upload.id);
    expect([accepted.status, accepted.body.state]).toEqual([202, 'verifying']);
    expect(new URL(accepted.headers.get('location') ?? '', suite.server.url).pathname).toBe(`/v1/uploads/${body.upload.id}`);
    expect(await suite.api.settled(body.upload.id)).toMatchObject({ state: 'stored', sha256: await file.sha256() });
    expect((await suite.api.complete(body.upload.id)).status).toBe(200);
  });
});
