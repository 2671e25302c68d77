import { type Body, Connection, type HttpAnswer, type HttpRequest } from './connection.ts';
import type { RunningServer } from './servers.ts';

export interface Measurement {
  bytes: number;
  requests: number;
  seconds: number;
  cpuSeconds: number;
  p50Ms: number;
  p99Ms: number;
  peakBytes: number;
}

/** How a server is sent a file of `size` bytes, whatever its own protocol is. */
export type Exchange = (connection: Connection, size: number, index: number, rate: number | null) => Promise<number>;

/** Sends `count` files with `parallel` connections; the time of each and the server's CPU time for all. */
export async function load(
  server: RunningServer,
  exchange: Exchange,
  work: { count: number; parallel: number; size: number; rate?: number },
): Promise<Measurement> {
  const connections = Array.from({ length: work.parallel }, () => new Connection(server.port));
  const times: number[] = [];
  let next = 0;
  const cpuBefore = server.cpuSeconds();
  const started = performance.now();
  await Promise.all(
    connections.map(async (connection) => {
      while (next < work.count) {
        const index = next;
        next += 1;
        times.push(await exchange(connection, work.size, index, work.rate ?? null));
      }
      connection.close();
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  times.sort((a, b) => a - b);
  const quantile = (q: number): number => times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? 0;
  return {
    bytes: work.count * work.size,
    requests: work.count,
    seconds,
    cpuSeconds: server.cpuSeconds() - cpuBefore,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    peakBytes: server.peakBytes(),
  };
}

const NOTHING = Buffer.alloc(0);
const raw = (size: number): Body => ({ before: NOTHING, size, after: NOTHING });

const BOUNDARY = 'windlassbench7f3d';
const form = (size: number): Body => ({
  before: Buffer.from(
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`,
  ),
  size,
  after: Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
});

function simple(expected: number, request: (size: number, index: number) => Omit<HttpRequest, 'rate'>): Exchange {
  return async (connection, size, index, rate) => {
    const answer = await connection.send({ ...request(size, index), rate });
    expect(answer, expected);
    return answer.ms;
  };
}

function expect({ status, body }: HttpAnswer, expected: number): void {
  if (status !== expected) throw new Error(`answered ${status} where ${expected} was expected: ${body.slice(0, 300)}`);
}

const BYTES = { 'Content-Type': 'application/octet-stream' };
const FORM = { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` };

export const EXCHANGES = {
  directRaw: simple(201, (size) => ({ method: 'POST', path: '/v1/uploads/direct', headers: BYTES, body: raw(size) })),
  directForm: simple(201, (size) => ({ method: 'POST', path: '/v1/uploads/direct', headers: FORM, body: form(size) })),
  relayRaw: simple(202, (size) => ({ method: 'POST', path: '/v1/uploads/relay', headers: BYTES, body: raw(size) })),
  relayForm: simple(202, (size) => ({ method: 'POST', path: '/v1/uploads/relay', headers: FORM, body: form(size) })),
  multerForm: simple(201, (size) => ({ method: 'POST', path: '/form', headers: FORM, body: form(size) })),
  koaRaw: simple(201, (size) => ({ method: 'PUT', path: '/raw', headers: BYTES, body: raw(size) })),
  nginxPut: simple(201, (size, index) => ({
    method: 'PUT',
    path: `/f${index}-${size}-${Math.random().toString(36).slice(2)}`,
    headers: BYTES,
    body: raw(size),
  })),
  tusCreate: simple(201, (size) => ({
    method: 'POST',
    path: '/files',
    headers: { 'Tus-Resumable': '1.0.0', 'Upload-Length': String(size), 'Content-Type': 'application/offset+octet-stream' },
    body: raw(size),
  })),
  presign: simple(201, presignRequest),
  presignAndComplete: presignAndComplete,
} satisfies Record<string, Exchange>;

function presignRequest(size: number): Omit<HttpRequest, 'rate'> {
  const text = Buffer.from(JSON.stringify({ filename: 'a.bin', contentType: 'application/octet-stream', size }));
  return {
    method: 'POST',
    path: '/v1/uploads/presign',
    headers: { 'Content-Type': 'application/json' },
    body: { before: text, size: 0, after: NOTHING },
  };
}

/** Asks for a link, sends the bytes with it, and reports completion: three requests, one time. */
async function presignAndComplete(connection: Connection, size: number): Promise<number> {
  const asked = await connection.send({ ...presignRequest(size), rate: null });
  expect(asked, 201);
  const { upload, request } = JSON.parse(asked.body) as {
    upload: { id: string };
    request: { url: string; headers: Record<string, string> };
  };
  const { pathname, search } = new URL(request.url);
  const sent = await connection.send({ method: 'PUT', path: pathname + search, headers: request.headers, body: raw(size), rate: null });
  expect(sent, 200);
  const done = await connection.send({ method: 'POST', path: `/v1/uploads/${upload.id}/complete`, headers: {}, body: raw(0), rate: null });
  expect(done, 200);
  return asked.ms + sent.ms + done.ms;
}
