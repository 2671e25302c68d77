import { beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { RandomFile } from '../support/random-file.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { embeddedOnly, startServer } from '../support/server-under-test.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();
const metrics = async (): Promise<string> => (await fetch(`${suite.server.opsUrl}/metrics`)).text();
const series = async (): Promise<string[]> =>
  (await metrics())
    .split('\n')
    .filter((line) => line.startsWith('windlass_'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')));

/** Those that are there from the first scrape on, so that rates have something to begin with. */
const INITIALISED = [
  'windlass_uploads_in_flight{strategy="direct"}',
  'windlass_uploads_in_flight{strategy="relay"}',
  'windlass_uploads_in_flight{strategy="presign"}',
  'windlass_received_bytes_total{strategy="relay"}',
  'windlass_upload_size_bytes_count{strategy="presign"}',
  'windlass_uploads_total{strategy="direct",outcome="stored"}',
  'windlass_rejections_total{reason="too_large"}',
  'windlass_upload_transitions_total{state="failed"}',
  'windlass_accepted_to_stored_seconds_count{strategy="relay"}',
  'windlass_outbox_messages',
  'windlass_outbox_oldest_seconds',
  'windlass_queued_oldest_seconds',
  'windlass_spool_bytes',
  'windlass_spool_capacity_bytes',
  'windlass_orphans_found_total{kind="object"}',
  'windlass_orphans_removed_total{kind="spool"}',
  'windlass_dependency_up{dependency="store"}',
  'windlass_dependency_up{dependency="database"}',
  'windlass_draining',
];
const HISTOGRAMS = ['windlass_http_request_duration_seconds', 'windlass_store_request_duration_seconds'];
const OF_WORKERS = [
  'windlass_jobs_total{outcome="dead"}',
  'windlass_jobs_in_flight',
  'windlass_job_redeliveries_total',
  'windlass_job_duration_seconds_count{stage="put"}',
];

describe('the operations port', () => {
  let first: string[];
  beforeAll(async () => {
    first = await series();
  });

  test.each(INITIALISED)('has %s from the beginning', (name) => {
    expect(first).toContain(name);
  });

  test.each([...HISTOGRAMS, 'windlass_build_info'])('has %s', async (name) => {
    await suite.api.settled((await suite.api.raw('relay', 'x')).body.id);
    expect((await series()).some((one) => one.startsWith(name))).toBe(true);
  });

  embeddedOnly('workers have a port of their own', () => {
    test.each(OF_WORKERS)('has %s from the beginning', (name) => {
      expect(first).toContain(name);
    });
  });

  test.each(['livez', 'readyz', 'startupz'])('answers /%s', async (path) => {
    expect((await fetch(`${suite.server.opsUrl}/${path}`)).status).toBe(200);
  });

  test('is not part of the public port', async () => {
    for (const path of ['/metrics', '/livez', '/readyz', '/startupz']) expect((await suite.api.get(path)).status).toBe(404);
  });

  test('serves nothing else, whatever is asked', async () => {
    const { opsPort } = suite.server;
    for (const request of ['GET //metrics/../x', 'GET http://[::1', 'GET //', 'POST /metrics', 'GET /%', 'OPTIONS *']) {
      const [method = '', path = ''] = request.split(' ');
      const connection = new RawConnection(opsPort);
      await connection.write(head(opsPort, method, path));
      const answer = await connection.answer();
      connection.close();
      expect([request, answer.status]).not.toEqual([request, 200]);
      expect(answer.status).toBeLessThan(500);
    }
    expect((await fetch(`${suite.server.opsUrl}/livez`)).status).toBe(200);
  });

  test('gets no new series from hostile paths, methods and ids', async () => {
    for (const path of ['/v1/uploads', '/v1/x', '/store/x', '/v1/uploads/x/content']) await suite.api.get(path);
    await suite.api.send('PATCH', '/v1/uploads');
    await suite.api.send('PROPFIND', '/v1/uploads');
    const before = new Set(await series());
    for (let n = 0; n < 50; n += 1) {
      await suite.api.get(`/${n}/${'x'.repeat(n)}`);
      await suite.api.get(`/v1/uploads/${n}/content`);
      await suite.api.get(`/store/${n}`);
      await suite.api
        .send(
          `M${n}`.replaceAll(/\d/g, (digit) => 'ABCDEFGHIJ'[Number(digit)] ?? ''),
          '/v1/uploads',
        )
        .catch(() => undefined);
    }
    for (const method of ['LOCK', 'MKCOL', 'UNLOCK', 'SEARCH']) await suite.api.send(method, '/v1/uploads');
    expect((await series()).filter((one) => !before.has(one))).toEqual([]);
  });

  embeddedOnly('each process counts for itself', () => {
    test('counts what happens', async () => {
      const value = async (name: string): Promise<number> =>
        Number(
          (await metrics())
            .split('\n')
            .find((line) => line.startsWith(`${name} `))
            ?.slice(name.length),
        );
      const counted = [
        'windlass_uploads_total{strategy="direct",outcome="stored"}',
        'windlass_received_bytes_total{strategy="direct"}',
        'windlass_upload_transitions_total{state="stored"}',
      ];
      const before = await Promise.all(counted.map(value));
      await suite.api.raw('direct', '12345');
      expect(await Promise.all(counted.map(value))).toEqual([(before[0] ?? 0) + 1, (before[1] ?? 0) + 5, (before[2] ?? 0) + 1]);
      const refused = await value('windlass_rejections_total{reason="not_found"}');
      await suite.api.get('/v1/nothing');
      expect(await value('windlass_rejections_total{reason="not_found"}')).toBe(refused + 1);
    });
  });
});

test('the log has one line for each request, with its id and no secret', async () => {
  await suite.api.get('/v1/uploads?limit=1', { 'X-Request-Id': 'seen-in-the-log', Authorization: 'Bearer wl_very_secret' });
  const line = await eventually(() => {
    const found = suite.server.log().filter(({ requestId }) => requestId === 'seen-in-the-log');
    expect(found).toHaveLength(1);
    return found[0];
  });
  expect(line).toMatchObject({ method: 'GET', route: '/v1/uploads', status: 200 });
  expect(suite.server.output).not.toContain('wl_very_secret');
});

describe('SIGTERM', () => {
  test('lets uploads in flight finish, and the process ends with 0', async () => {
    await using server = await startServer({ SHUTDOWN_GRACE_SECONDS: '600', SHUTDOWN_DELAY_SECONDS: '1' });
    const file = new RandomFile(3_000_000, 'in flight');
    const connections = await Promise.all(
      ['direct', 'relay'].map(async (strategy) => {
        const connection = new RawConnection(server.port);
        await connection.write(
          head(server.port, 'POST', `/v1/uploads/${strategy}`, { 'Content-Type': 'application/octet-stream', 'Content-Length': file.size }),
        );
        await connection.write(await file.bytes(0, 1_000_000));
        return connection;
      }),
    );
    server.beginStop();
    await eventually(async () => expect((await fetch(`${server.opsUrl}/readyz`)).status).toBe(503));
    expect((await fetch(`${server.opsUrl}/livez`)).status).toBe(200);
    const late = await fetch(`${server.url}/v1/uploads`);
    expect([late.status, late.headers.get('connection')]).toEqual([200, 'close']);
    const ids = await Promise.all(
      connections.map(async (connection) => {
        await connection.write(await file.bytes(1_000_000));
        const answer = await connection.answer();
        expect(answer.status).toBeLessThan(300);
        connection.close();
        return JSON.parse(answer.body).id as string;
      }),
    );
    expect(await server.exited).toEqual({ code: 0, signal: null });

    await using again = await server.restart();
    const api = new ApiClient(again.url);
    for (const id of ids) {
      expect((await api.settled(id)).state).toBe('stored');
      expect(await api.contentDigest(id)).toMatchObject({ sha256: await file.sha256(), size: file.size });
    }
  });

  embeddedOnly('a request may still be on its way when the server behind the address ends', () => {
    test('does not wait for connections on which nothing is asked', async () => {
      await using server = await startServer({ SHUTDOWN_GRACE_SECONDS: '600' });
      const silent = new RawConnection(server.port);
      const kept = new RawConnection(server.port);
      await kept.write(head(server.port, 'GET', '/v1/uploads'));
      await kept.answer();
      const { body } = await new ApiClient(server.url).presign({ size: 1 });
      const watching = await fetch(`${server.url}/v1/uploads/${body.upload.id}/events`);
      const waiting = fetch(`${server.url}/v1/uploads/${body.upload.id}`, { headers: { Prefer: 'wait=300' } });
      await server.stop();
      expect(await watching.text()).toContain('pending');
      expect((await waiting).status).toBe(200);
      silent.close();
      kept.close();
    });
  });

  test('cuts what does not finish in its time, and leaves nothing of it', async () => {
    await using server = await startServer({ SHUTDOWN_GRACE_SECONDS: '1' });
    const connection = new RawConnection(server.port);
    await connection.write(
      head(server.port, 'POST', '/v1/uploads/direct', { 'Content-Type': 'text/plain', 'Content-Length': 50, Expect: '100-continue' }),
    );
    await connection.until((text) => text.includes('100 Continue'));
    await server.stop();
    await connection.ended();
    connection.close();
    expect(await server.storedFiles()).toEqual([]);
  });
});
