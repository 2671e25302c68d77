import type { Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import Koa from 'koa';
import type { Upload } from '../../src/core/upload.ts';
import { errorAnswers } from '../../src/http/middleware/errors.ts';
import { requestContext } from '../../src/http/middleware/request-context.ts';
import { routerOf } from '../../src/http/router.ts';
import { adminRoutes } from '../../src/http/routes/admin.ts';
import { createHttpServer, listen } from '../../src/http/server.ts';
import { Redrive } from '../../src/strategies/redrive.ts';
import { ApiClient } from '../support/api-client.ts';
import { acceptRelay, openTestPlatform, type TestPlatform } from '../support/platform.ts';

const BYTES = Buffer.from('some bytes');
const publicUrl = 'http://files.example.com';
let bench: TestPlatform;
let server: Server;
let api: ApiClient;
let scopes: string[];

beforeEach(async () => {
  bench = await openTestPlatform();
  scopes = ['admin'];
  const app = new Koa();
  app.use(requestContext(bench.platform));
  app.use(errorAnswers({ ...bench.platform, docsUrl: `${publicUrl}/docs/errors` }));
  app.use((ctx, next) => {
    ctx.state.principal = { tenant: 'acme', scopes: new Set(scopes) };
    return next();
  });
  const redrive = new Redrive({ ...bench.platform, ledger: bench.ledger });
  app.use(routerOf(adminRoutes({ ...bench.platform, redrive, publicUrl, contentUrl: publicUrl }), bench.platform.config));
  server = createHttpServer(app);
  api = new ApiClient(`http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`);
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await bench.close();
});

const failedRelay = async (tenant = 'acme'): Promise<Upload> =>
  (await bench.ledger.transition(await acceptRelay(bench, BYTES, { tenant }), 'failed', {
    error: { code: 'store_unavailable', detail: 'The store does not answer.' },
    attempts: 12,
  })) as Upload;

// biome-ignore lint/suspicious/noExplicitAny: the items of this list are dead letters, not uploads
const itemsOf = (body: { items: unknown[] }): any[] => body.items;

test('dead letters are the failed relays of the tenant, newest first, with reason and tries', async () => {
  const [first, second] = [await failedRelay(), await failedRelay()];
  await failedRelay('other');
  await acceptRelay(bench, BYTES);
  const { status, body } = await api.get('/v1/admin/dead-letters');
  expect(status).toBe(200);
  expect(itemsOf(body).map(({ upload }) => upload.id)).toEqual([second.id, first.id]);
  expect(itemsOf(body)[0]).toMatchObject({ reason: 'store_unavailable', attempts: 12, failedAt: new Date(second.updatedAt).toISOString() });
  expect(body.nextCursor).toBeNull();
});

test('pages follow each other without gaps, also when more fails in between', async () => {
  const ids: string[] = [];
  for (let count = 0; count < 3; count += 1) ids.unshift((await failedRelay()).id);
  const first = await api.get('/v1/admin/dead-letters?limit=2');
  await failedRelay();
  const second = await api.get(`/v1/admin/dead-letters?limit=2&cursor=${first.body.nextCursor}`);
  expect([...itemsOf(first.body), ...itemsOf(second.body)].map(({ upload }) => upload.id)).toEqual(ids);
  expect(second.body.nextCursor).toBeNull();
});

test.each(['x', 'eyJpZCI6MX0', '..%2F..', Buffer.from('01993e6c-7d1e-4c3a-9b0a-3f5d2c1b0a99').toString('base64url')])(
  'the cursor %s is none of ours',
  async (cursor) => {
    const { status, body } = await api.get(`/v1/admin/dead-letters?cursor=${cursor}`);
    expect([status, body.code, body.errors[0]?.pointer]).toEqual([400, 'invalid_request', '/query/cursor']);
  },
);

test('a dead letter is tried again: 202, where to follow it, and a job on its way', async () => {
  const { id } = await failedRelay();
  const { status, headers, body } = await api.send('POST', `/v1/admin/uploads/${id}/redrive`);
  expect(status).toBe(202);
  expect(headers.get('location')).toMatch(new RegExp(`/v1/uploads/${id}$`));
  expect(body).toMatchObject({ id, state: 'queued', attempts: 0, error: null });
  expect((await bench.platform.uploads.find(id))?.outbox).toContainEqual(expect.objectContaining({ kind: 'job', job: 'relay' }));
  expect(itemsOf((await api.get('/v1/admin/dead-letters')).body)).toEqual([]);
  const again = await api.send('POST', `/v1/admin/uploads/${id}/redrive`);
  expect([again.status, again.body.code]).toEqual([409, 'not_redrivable']);
});

test('the uploads of another tenant are not there', async () => {
  const { id } = await failedRelay('other');
  for (const path of [id, bench.platform.newId(), 'not-an-id'])
    expect((await api.send('POST', `/v1/admin/uploads/${path}/redrive`)).status).toBe(404);
  expect((await bench.platform.uploads.find(id))?.state).toBe('failed');
});

test('the queue says how much waits', async () => {
  const upload = await acceptRelay(bench, BYTES);
  await bench.platform.queue.publish({ id: 'job-1', kind: 'relay', uploadId: upload.id, trace: upload.trace });
  const { status, body } = await api.get('/v1/admin/queue');
  const at = new Date(upload.createdAt).toISOString();
  expect(status).toBe(200);
  expect(body).toEqual({ ready: 1, delayed: 0, leased: 0, dead: 0, outboxMessages: 2, outboxOldestAt: at, queuedOldestAt: at });
});

test('nothing of this without the scope admin', async () => {
  const { id } = await failedRelay();
  scopes = ['uploads:read', 'uploads:write'];
  for (const [method, path] of [
    ['GET', 'dead-letters'],
    ['GET', 'queue'],
    ['POST', `uploads/${id}/redrive`],
  ] as const)
    expect((await api.send(method, `/v1/admin/${path}`)).status).toBe(403);
});
