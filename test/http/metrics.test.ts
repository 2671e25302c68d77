import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createMetrics } from '../../src/metrics.ts';
import { addToken } from '../../src/tokens.ts';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { type RunningServer, startServer } from '../support/server.ts';

const linesOf = async ({ opsUrl }: RunningServer): Promise<string[]> =>
  (await (await fetch(`${opsUrl}/metrics`)).text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const seriesOf = async (server: RunningServer): Promise<string[]> =>
  (await linesOf(server)).map((line) => line.slice(0, line.lastIndexOf(' ')));
const readingOf = async (server: RunningServer, series: string): Promise<number> =>
  Number((await linesOf(server)).find((line) => line.startsWith(`${series} `))?.slice(series.length));
const tenantsIn = (series: readonly string[]): string[] =>
  [...new Set(series.flatMap((one) => /tenant="([^"]*)"/.exec(one)?.[1] ?? []))].sort();

const HOSTILE = ['"', '\\', '\u0000', 'ä', '%0a', '{x="y"}', 'x'.repeat(2000)];

describe('a server that is asked all kinds of things', () => {
  test('keeps the number of its series, and no label has anything of what was sent', async () => {
    await using server = await startServer();
    const api = new ApiClient(server.url);
    await api.settled((await api.raw('relay', 'x')).body.id);
    await api.presign({ size: 1 });
    await api.get('/v1/nothing');
    const before = (await seriesOf(server)).length;
    for (let n = 0; n < 60; n += 1) {
      const hostile = encodeURIComponent(HOSTILE[n % HOSTILE.length] ?? '');
      await api.get(`/v1/uploads/zz${n}${hostile}`);
      await api.get(`/v1/resources/zz${n}${hostile}/zz`);
      await api.get(`/zz${n}/${hostile}`);
      await fetch(`${server.url}/v1/uploads/relay?filename=zz${n}`, {
        method: 'POST',
        body: `zz${n}`,
        headers: {
          'Content-Type': `application/zz-${n}`,
          'X-Request-Id': `zz${n}`,
          'Content-Disposition': `attachment; filename="zz${n}"`,
        },
      });
      await fetch(`${server.url}/v1/uploads/direct`, {
        method: 'POST',
        body: 'x',
        headers: { 'Content-Type': `zz${n}`, 'Idempotency-Key': `zz${n}` },
      });
      const connection = new RawConnection(server.port);
      await connection.write(head(server.port, ['ZZLOCK', 'PURGE', 'TRACE', 'LINK'][n % 4] ?? '', `/v1/uploads/zz${n}`));
      await connection.answer();
      connection.close();
    }
    const after = await seriesOf(server);
    // Node counts its own handles and requests by kind: those may come and go.
    const own = after.filter((one) => one.startsWith('windlass_'));
    expect(own.filter((one) => one.includes('zz'))).toEqual([]);
    // What can be new is an answer's class that a route had not given yet: 18 lines each, of at most five classes.
    expect(after.length - before).toBeLessThan(18 * 12);
    for (let n = 100; n < 130; n += 1) {
      await api.get(`/v1/uploads/zz${n}`);
      await fetch(`${server.url}/v1/uploads/direct`, { method: 'POST', body: 'x', headers: { 'Content-Type': `application/zz-${n}` } });
    }
    expect((await seriesOf(server)).filter((one) => one.startsWith('windlass_')).length).toBe(own.length);
  });

  test('has no tenant in its labels unless that is switched on, and then no more than are allowed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'windlass-tokens-'));
    try {
      const TOKENS_FILE = join(folder, 'tokens');
      const tokens: string[] = [];
      for (let n = 0; n < 8; n += 1) tokens.push(await addToken(TOKENS_FILE, `tenant-${n}`, ['uploads:read', 'uploads:write'], Date.now()));
      const uploadByAll = async (server: RunningServer): Promise<void> => {
        for (const token of tokens) {
          const answer = await fetch(`${server.url}/v1/uploads/direct`, {
            method: 'POST',
            body: 'x',
            headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'text/plain' },
          });
          expect(answer.status).toBe(201);
        }
      };
      await using plain = await startServer({ TOKENS_FILE });
      await uploadByAll(plain);
      expect(tenantsIn(await seriesOf(plain))).toEqual([]);

      await using labelled = await startServer({ TOKENS_FILE, METRICS_TENANT_LABEL: 'true', METRICS_MAX_TENANTS: '3' });
      expect(tenantsIn(await seriesOf(labelled))).toEqual(['other']);
      await uploadByAll(labelled);
      expect(tenantsIn(await seriesOf(labelled))).toEqual(['other', 'tenant-0', 'tenant-1', 'tenant-2']);
      expect(await readingOf(labelled, 'windlass_uploads_total{strategy="direct",outcome="stored",tenant="other"}')).toBe(5);
      expect(await readingOf(labelled, 'windlass_uploads_total{strategy="direct",outcome="stored",tenant="tenant-1"}')).toBe(1);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('counts the requests of a tenant that makes too many', async () => {
    await using server = await startServer({ RATE_LIMIT_PER_SECOND: '1' });
    const api = new ApiClient(server.url);
    const statuses = [];
    for (let n = 0; n < 6; n += 1) statuses.push((await api.get('/v1/uploads')).status);
    expect(await readingOf(server, 'windlass_rate_limited_total')).toBe(statuses.filter((status) => status === 429).length);
    expect(statuses).toContain(429);
  });
});

describe('uploads', () => {
  test('count once at their request and, where they go on, once at their end', async () => {
    await using server = await startServer({ MAX_UPLOAD_BYTES: '10' });
    const api = new ApiClient(server.url);
    const count = (strategy: string, outcome: string) =>
      readingOf(server, `windlass_uploads_total{strategy="${strategy}",outcome="${outcome}"}`);
    await api.raw('direct', 'x');
    await api.settled((await api.raw('relay', 'x')).body.id);
    expect((await api.raw('relay', 'x'.repeat(11))).status).toBe(413);
    await eventually(async () => expect(await count('relay', 'stored')).toBe(1));
    expect(await count('direct', 'stored')).toBe(1);
    expect(await count('relay', 'accepted')).toBe(1);
    expect(await count('relay', 'rejected')).toBe(1);
    expect(await count('presign', 'accepted')).toBe(0);
  });

  test('that the platform cannot take are refused, and not the fault of the client', async () => {
    await using server = await startServer({ MIN_FREE_BYTES: '1024TiB' });
    const api = new ApiClient(server.url);
    expect((await api.raw('relay', 'x')).status).toBe(507);
    expect(await readingOf(server, 'windlass_uploads_total{strategy="relay",outcome="refused"}')).toBe(1);
  });
});

describe('a process', () => {
  const names = async (role: 'api' | 'relay' | 'all'): Promise<string[]> =>
    createMetrics('test', { role })
      .registry.getMetricsAsArray()
      .map(({ name }) => name);

  test('exports what it is responsible for', async () => {
    expect(await names('relay')).toEqual(expect.arrayContaining(['windlass_jobs_total', 'windlass_dependency_up']));
    expect(await names('relay')).not.toEqual(expect.arrayContaining(['windlass_spool_bytes']));
    expect(await names('api')).toEqual(expect.arrayContaining(['windlass_spool_bytes', 'windlass_outbox_messages']));
    expect(await names('api')).not.toEqual(expect.arrayContaining(['windlass_jobs_total']));
    expect(new Set(await names('all'))).toEqual(new Set([...(await names('api')), ...(await names('relay'))]));
  });
});
