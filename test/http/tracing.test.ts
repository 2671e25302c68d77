import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { type CollectedSpan, OtlpCollector } from '../support/otlp-collector.ts';
import { type RunningServer, startServer } from '../support/server.ts';

const ATTRIBUTES = [
  'http.request.method',
  'http.route',
  'http.response.status_code',
  'db.system.name',
  'db.operation.name',
  'messaging.system',
  'messaging.operation.type',
  'messaging.destination.name',
  'messaging.message.id',
  'aws.s3.bucket',
  'error.type',
  'windlass.request.id',
  'windlass.upload.id',
  'windlass.upload.size',
  'windlass.strategy',
  'windlass.store.operation',
  'windlass.job.kind',
  'windlass.job.deliveries',
  'windlass.job.outcome',
];

const newTrace = (): { traceId: string; spanId: string; traceparent: string } => {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-01` };
};

describe('with a collector', () => {
  let collector: OtlpCollector;
  let server: RunningServer;
  let api: ApiClient;
  beforeAll(async () => {
    collector = await OtlpCollector.start();
    server = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'files' });
    api = new ApiClient(server.url);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await collector[Symbol.asyncDispose]();
  });

  const named = (spans: readonly CollectedSpan[], name: string): CollectedSpan => {
    const span = spans.find((one) => one.name === name);
    if (!span) throw new Error(`no span ${name} among ${spans.map((one) => one.name).join(', ')}`);
    return span;
  };

  test('a relayed upload is one trace, from the request of the client to the last call of the worker', async () => {
    const { traceId, spanId, traceparent } = newTrace();
    const { body } = await api.raw('relay', 'some bytes', {
      headers: { traceparent, 'Content-Disposition': 'attachment; filename="salaries.txt"' },
    });
    await api.settled(body.id);
    await eventually(() => {
      const spans = collector.of(traceId);
      const request = named(spans, 'POST /v1/uploads/relay');
      expect(request).toMatchObject({ parentSpanId: spanId, kind: 2, service: 'files' });
      expect(request.attributes).toMatchObject({ 'http.response.status_code': 202, 'windlass.upload.id': body.id });
      expect(named(spans, 'receive')).toMatchObject({ parentSpanId: request.spanId });
      expect(named(spans, 'receive').attributes).toMatchObject({ 'windlass.upload.size': 10, 'windlass.strategy': 'relay' });
      const accept = named(spans, 'accept');
      expect(named(spans, 'uploads.insert')).toMatchObject({ parentSpanId: accept.spanId });
      const send = named(spans, 'send relay');
      expect(send).toMatchObject({ parentSpanId: request.spanId, kind: 4 });
      const job = named(spans, 'process relay');
      expect(job).toMatchObject({ parentSpanId: send.spanId, kind: 5 });
      for (const call of ['store.put', 'uploads.apply']) expect(named(spans, call)).toMatchObject({ parentSpanId: job.spanId, kind: 3 });
    }, 30_000);
  });

  test('what fails is marked, with a code and no text', async () => {
    const { traceId, traceparent } = newTrace();
    await api.get('/v1/uploads/nothing', { traceparent });
    await eventually(() => {
      const [request] = collector.of(traceId);
      expect(request).toMatchObject({ name: 'GET /v1/uploads/{id}', status: 0 });
      expect(request?.attributes).toMatchObject({ 'http.response.status_code': 404 });
    }, 30_000);
  });

  test('a client that sent no traceparent gets a trace of its own, whose id is in the log', async () => {
    await api.get('/v1/uploads?limit=1', { 'X-Request-Id': 'begins-a-trace' });
    await eventually(() => {
      const line = server.log().find(({ requestId, msg }) => requestId === 'begins-a-trace' && msg === 'request');
      const [, traceId = ''] = String(line?.traceparent).split('-');
      expect(collector.of(traceId).map(({ name }) => name)).toContain('GET /v1/uploads');
    }, 30_000);
  });

  test('a client that does not want to be traced is not', async () => {
    const { traceId, traceparent } = newTrace();
    await api.get('/v1/uploads?limit=1', { traceparent: traceparent.replace(/01$/, '00') });
    const after = newTrace();
    await api.get('/v1/uploads?limit=1', { traceparent: after.traceparent });
    await eventually(() => expect(collector.of(after.traceId)).not.toEqual([]), 30_000);
    expect(collector.of(traceId)).toEqual([]);
  });

  test('attributes are of a closed set, and nothing of the file or of secrets is sent', async () => {
    const secret = 'wl_a-very-secret-token';
    const { traceId, traceparent } = newTrace();
    await api.raw('direct', 'the contents', {
      headers: { traceparent, Authorization: `Bearer ${secret}`, 'Content-Disposition': 'attachment; filename="salaries.txt"' },
      query: { metadata: JSON.stringify({ note: 'confidential' }) },
    });
    await eventually(() => expect(collector.of(traceId).map(({ name }) => name)).toContain('POST /v1/uploads/direct'), 30_000);
    for (const { attributes } of collector.spans) expect(ATTRIBUTES).toEqual(expect.arrayContaining(Object.keys(attributes)));
    for (const sent of ['salaries', secret, 'the contents', 'confidential']) expect(collector.bodies.join('\n')).not.toContain(sent);
  });
});

describe('without a collector', () => {
  /** Runs before the server, and says what it loads. The text of a variable loses its quotes, hence the encoding. */
  const WATCH = `import { registerHooks } from 'node:module';
registerHooks({ resolve(specifier, context, next) {
  const resolved = next(specifier, context);
  if (resolved.url.includes('opentelemetry')) console.log('loaded ' + resolved.url);
  return resolved;
} });`;
  const PRELOADED = `data:text/javascript;base64,${Buffer.from(WATCH).toString('base64')}`;

  test('none of the packages is loaded but the API that metrics use, and traceparent is kept as it came', async () => {
    await using server = await startServer({ NODE_OPTIONS: `--import=${PRELOADED}` });
    const api = new ApiClient(server.url);
    const { traceparent } = newTrace();
    const { body } = await api.raw('relay', 'x', { headers: { traceparent, 'X-Request-Id': 'untraced' } });
    await api.settled(body.id);
    const loaded = server.output.split('\n').filter((line) => line.startsWith('loaded '));
    // That of the metrics: so the watch works.
    expect(loaded).not.toEqual([]);
    expect(loaded.filter((line) => !line.includes('@opentelemetry/api/'))).toEqual([]);
    await eventually(() =>
      expect(server.log().find(({ requestId, msg }) => requestId === 'untraced' && msg === 'request')).toMatchObject({ traceparent }),
    );
  });

  test('a collector that is away keeps nothing from working', async () => {
    await using server = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
    const api = new ApiClient(server.url);
    expect((await api.settled((await api.raw('relay', 'x')).body.id)).state).toBe('stored');
    await server.stop();
  });

  test('the packages are named by the adapter alone', async () => {
    expect(await readFile(new URL('../../src/wire.ts', import.meta.url), 'utf8')).not.toContain('@opentelemetry');
  });
});
