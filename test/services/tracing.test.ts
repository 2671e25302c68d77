import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { type CollectedSpan, OtlpCollector } from '../support/otlp-collector.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { withServers } from './with-servers.ts';

withServers((servers) => {
  let collector: OtlpCollector;
  let stack: Stack;
  beforeAll(async () => {
    collector = await OtlpCollector.start();
    stack = await startStack(servers, { apis: 1, workers: 1, settings: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
  }, 60_000);
  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
    await collector[Symbol.asyncDispose]();
  });

  /** From a span up to the one that no other of the trace is above of. */
  const pathOf = (spans: readonly CollectedSpan[], span: CollectedSpan | undefined): string[] =>
    span
      ? [
          ...pathOf(
            spans,
            spans.find(({ spanId }) => spanId === span.parentSpanId),
          ),
          span.name,
        ]
      : [];

  test('one trace leads from the request to a server, through RabbitMQ, to the last call to S3 of a worker', async () => {
    const [api] = stack.apis.map(({ url }) => new ApiClient(url));
    const traceId = randomBytes(16).toString('hex');
    const traceparent = `00-${traceId}-${randomBytes(8).toString('hex')}-01`;
    const answer = await api?.raw('relay', 'bytes', { headers: { traceparent } });
    await api?.settled(answer?.body.id ?? '');
    await eventually(() => {
      const spans = collector.of(traceId);
      const last = spans.filter(({ name }) => name.startsWith('store.')).at(-1);
      expect(last?.attributes).toMatchObject({ 'aws.s3.bucket': stack.settings.S3_BUCKET });
      expect(pathOf(spans, last)).toEqual(['POST /v1/uploads/relay', 'send relay', 'process relay', 'store.put']);
      const job = spans.find(({ name }) => name === 'process relay');
      expect(job?.attributes).toMatchObject({
        'messaging.system': 'rabbitmq',
        'windlass.upload.id': answer?.body.id,
        'windlass.job.outcome': 'done',
      });
      const commit = spans.filter(({ parentSpanId }) => parentSpanId === job?.spanId).filter(({ name }) => name === 'uploads.apply');
      expect(commit.map(({ attributes }) => attributes['db.system.name'])).toEqual(['mongodb', 'mongodb']);
    }, 40_000);
  });
});
