import { expect, test } from '@jest/globals';
import { ApiClient, follow } from '../support/api-client.ts';
import { startServer } from '../support/server-under-test.ts';

const begin = {
  direct: (api: ApiClient) => api.raw('direct', 'x'),
  relay: (api: ApiClient) => api.raw('relay', 'x'),
  presign: (api: ApiClient) => api.presign({ size: 1 }),
};

test.each([
  ['presign', 'direct', 'relay'],
  ['direct', 'relay', 'presign'],
  ['relay', 'presign', 'direct'],
] as const)('a server that offers %s alone has nothing at the addresses of others', async (offered, ...others) => {
  await using server = await startServer({ STRATEGIES: offered });
  const api = new ApiClient(server.url);
  expect((await begin[offered](api)).status).toBeLessThan(300);
  for (const other of others) {
    const refused = await begin[other](api);
    expect([refused.status, refused.body]).toEqual([404, expect.objectContaining({ code: 'not_found', expected: [offered] })]);
    expect((refused.body as unknown as { detail: string }).detail).toContain(`no ${other} uploads`);
    expect((await api.get(`/v1/uploads/${other}`)).status).toBe(404);
  }
  const { paths } = (await api.get('/openapi.json')).body as unknown as { paths: object };
  const addresses = Object.keys(paths).filter((path) => /^\/v1\/uploads\/\w+$/.test(path));
  expect(addresses).toEqual([`/v1/uploads/${offered}`]);
  expect(await (await fetch(server.url)).text()).toContain(`<meta name="windlass-strategies" content="${offered}">`);
});

test('what was begun by a strategy that is offered no more is finished, read and deleted', async () => {
  await using before = await startServer();
  const begun = new ApiClient(before.url);
  const stored = (await begun.raw('direct', 'direct bytes')).body.id;
  const pending = (await begun.presign({ size: 4 })).body.upload.id;
  await before.stop();

  await using server = await before.restart({ STRATEGIES: 'relay' });
  const api = new ApiClient(server.url);
  expect(await api.content(stored)).toBe('direct bytes');
  expect((await api.send('DELETE', `/v1/uploads/${stored}`)).status).toBe(204);
  const { status, body } = await api.send('POST', `/v1/uploads/${pending}/link`);
  expect(status).toBe(200);
  await follow((body as unknown as { request: Parameters<typeof follow>[0] }).request, 'sent');
  expect((await api.send('POST', `/v1/uploads/${pending}/complete`)).status).toBe(200);
  expect(await api.content(pending)).toBe('sent');
});
