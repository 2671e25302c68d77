import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient, follow } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { runCommand } from '../support/server.ts';
import { type ServerUnderTest, startServer } from '../support/server-under-test.ts';

interface OpenApi {
  paths: Record<string, Record<string, { operationId: string; requestBody?: unknown }>>;
}

let folder: string;
let tokensFile: string;
let server: ServerUnderTest;
let acme: ApiClient;
let other: ApiClient;
let operations: { method: string; path: string; operationId: string }[];

async function makeToken(tenant: string, scopes: string): Promise<string> {
  const { code, stdout, stderr } = await runCommand(['token', '--tenant', tenant, '--scopes', scopes], { TOKENS_FILE: tokensFile });
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'windlass-tokens-'));
  tokensFile = join(folder, 'tokens');
  const all = 'uploads:read,uploads:write,admin';
  const [acmeToken, otherToken] = [await makeToken('acme', all), await makeToken('other', all)];
  server = await startServer({ TOKENS_FILE: tokensFile, SINGLE_PART_BYTES: '1KiB' });
  acme = new ApiClient(server.url, { token: acmeToken });
  other = new ApiClient(server.url, { token: otherToken });
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as OpenApi;
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => ({ method: method.toUpperCase(), path, operationId })),
  );
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const at = (path: string, id: string): string => path.replace('{type}', 'post').replace('{id}', id);

/** Bodies that are right, so that nothing but the token can be what is wrong. */
const BODIES: Record<string, unknown> = {
  signParts: { partNumbers: [1] },
  presignUpload: { filename: 'a', contentType: 'text/plain', size: 1 },
  putResource: { attributes: {}, uploads: [] },
};

describe('without a token that is good for it', () => {
  test('every route answers 401', async () => {
    for (const token of [undefined, 'wl_unknown', `${'x'.repeat(400)}`]) {
      const client = new ApiClient(server.url, token === undefined ? {} : { token });
      for (const { method, path } of operations) {
        const answer = await client.send(method, at(path, '42'));
        expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 401, 'unauthorized']);
        expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
      }
    }
  });

  test.each(['Basic dXNlcjpwYXNz', 'Bearer', 'Bearer ', 'Bearer a b', 'bearer\twl_x'])(
    'Authorization: %j is 401',
    async (Authorization) => {
      expect((await new ApiClient(server.url, { headers: { Authorization } }).get('/v1/uploads')).status).toBe(401);
    },
  );

  test('every route answers 403 to a token that lacks its scope', async () => {
    const reader = new ApiClient(server.url, { token: await readerToken() });
    for (const { method, path } of operations) {
      const writes = method !== 'GET' || path.includes('/admin/');
      const answer = await reader.send(method, at(path, '42'));
      if (!writes) expect([method, path, answer.status]).not.toEqual([method, path, 403]);
      else expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 403, 'forbidden']);
    }
  });

  test.each(['/', '/docs', '/openapi.json'])('%s is open', async (path) => {
    expect((await fetch(`${server.url}${path}`)).status).toBe(200);
  });
});

/** Waits until the client gets this answer from every server that there may be behind the address. */
const everywhere = (client: ApiClient, status: number): Promise<void> =>
  eventually(async () => {
    for (let times = 0; times < 2; times += 1) expect((await client.get('/v1/uploads')).status).toBe(status);
  });

/** Made while the server runs: it reads the file again. */
async function readerToken(): Promise<string> {
  const token = await makeToken('acme', 'uploads:read');
  const client = new ApiClient(server.url, { token });
  await everywhere(client, 200);
  return token;
}

test('a token that is taken out of the file works no longer', async () => {
  const token = await makeToken('acme', 'uploads:read');
  const client = new ApiClient(server.url, { token });
  await everywhere(client, 200);
  const lines = (await readFile(tokensFile, 'utf8')).trimEnd().split('\n');
  await writeFile(tokensFile, `${lines.slice(0, -1).join('\n')}\n`);
  await everywhere(client, 401);
  expect((await acme.get('/v1/uploads')).status).toBe(200);
});

test('a file that becomes unreadable locks nobody out and lets nobody in', async () => {
  const text = await readFile(tokensFile, 'utf8');
  await writeFile(tokensFile, 'nonsense\n');
  await eventually(() => expect(server.log().some(({ msg }) => msg?.includes('cannot be read'))).toBe(true));
  expect((await acme.get('/v1/uploads')).status).toBe(200);
  expect((await new ApiClient(server.url).get('/v1/uploads')).status).toBe(401);
  await writeFile(tokensFile, text);
});

describe('of another tenant', () => {
  test('every upload is 404 on every route, and stays as it is', async () => {
    const pending = (await acme.presign({ size: 1 })).body;
    const parts = (await acme.presign({ size: 5000 })).body.upload.id;
    const stored = (await acme.raw('direct', 'secret')).body.id;
    for (const { method, path, operationId } of operations) {
      if (!path.includes('/uploads/{id}')) continue;
      for (const id of [pending.upload.id, parts, stored]) {
        const answer = await other.json(method, at(path, id), method === 'GET' ? undefined : BODIES[operationId]);
        expect([operationId, answer.status, answer.body.code]).toEqual([operationId, 404, 'not_found']);
        expect(answer.text).not.toContain('secret');
      }
    }
    expect((await acme.upload(stored)).body.state).toBe('stored');
    expect((await follow(pending.request, 'x')).ok).toBe(true);
  });

  test('a resource is another resource', async () => {
    const { id } = (await acme.raw('direct', 'x')).body;
    await acme.json('PUT', '/v1/resources/post/shared', { attributes: { of: 'acme' }, uploads: [{ id }] });
    expect((await other.get('/v1/resources/post/shared')).status).toBe(404);
    expect((await other.send('DELETE', '/v1/resources/post/shared')).status).toBe(404);
    const stolen = await other.json('PUT', '/v1/resources/post/shared', { attributes: { of: 'other' }, uploads: [{ id }] });
    expect([stolen.status, stolen.body.errors[0]?.code]).toEqual([422, 'not_found']);
    expect((await acme.get('/v1/resources/post/shared')).body.attributes).toEqual({ of: 'acme' });
  });

  test('lists and keys are apart', async () => {
    const key = { 'Idempotency-Key': 'one-key' };
    const mine = await acme.raw('direct', 'mine', { headers: key });
    const theirs = await other.raw('direct', 'theirs', { headers: key });
    expect([mine.status, theirs.status]).toEqual([201, 201]);
    expect((await acme.get('/v1/uploads')).body.items.map((upload) => upload.id)).not.toContain(theirs.body.id);
  });
});

describe('without TOKENS_FILE', () => {
  test('a server that others could reach does not start', async () => {
    await expect(startServer({ HOST: '0.0.0.0' })).rejects.toThrow(/TOKENS_FILE/);
  });

  test('pages of other sites and other host names are refused', async () => {
    await using open = await startServer();
    const api = new ApiClient(open.url);
    expect((await api.get('/v1/uploads', { Origin: 'https://evil.example' })).status).toBe(403);
    expect((await api.get('/v1/uploads', { Origin: open.url })).status).toBe(200);
  });
});

test('a tenant above its rate is told when to come back, and another one is not touched', async () => {
  const [busyToken, calmToken] = [await makeToken('busy', 'uploads:read'), await makeToken('calm', 'uploads:read')];
  await using limited = await startServer({ TOKENS_FILE: tokensFile, RATE_LIMIT_PER_SECOND: '5' });
  const busy = new ApiClient(limited.url, { token: busyToken });
  const answers = await Promise.all(Array.from({ length: 40 }, () => busy.get('/v1/uploads')));
  const refused = answers.filter(({ status }) => status === 429);
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(0);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]?.body).toMatchObject({ code: 'rate_limited', status: 429, limit: 5 });
  expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await new ApiClient(limited.url, { token: calmToken }).get('/v1/uploads')).status).toBe(200);
});
