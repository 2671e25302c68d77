import { AsyncLocalStorage } from 'node:async_hooks';
import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, type Tracer, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Span, SpanAttributes, SpanOptions, Tracing } from '../../ports/tracing.ts';

export interface OtlpOptions {
  /** Address of the collector; `/v1/traces` is appended. */
  endpoint: string;
  serviceName: string;
  version: string;
  /** Name of the process. */
  instance: string;
  /** Share of the traces begun here that are sent, 0 to 1. Whoever began a trace elsewhere has decided for it. */
  ratio: number;
}

/** A collector that does not answer by then is given up: nobody is kept from stopping by it. */
const PATIENCE_MS = 3000;
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const KINDS: Record<NonNullable<SpanOptions['kind']>, SpanKind> = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** Sends spans to a collector, by OTLP over HTTP in JSON. What cannot be sent is dropped. */
export class OtlpTracing implements Tracing {
  readonly enabled = true;
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #running = new AsyncLocalStorage<Context>();

  constructor({ endpoint, serviceName, version, instance, ratio }: OtlpOptions) {
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': serviceName, 'service.version': version, 'service.instance.id': instance }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
      spanProcessors: [
        new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${endpoint}/v1/traces`, timeoutMillis: PATIENCE_MS }) }),
      ],
    });
    this.#tracer = this.#provider.getTracer('windlass', version);
  }

  start(name: string, { kind = 'internal', attributes = {}, parent }: SpanOptions = {}): Span {
    const within = parent === undefined ? (this.#running.getStore() ?? ROOT_CONTEXT) : contextOf(parent);
    const span = this.#tracer.startSpan(name, { kind: KINDS[kind], attributes: { ...attributes } }, within);
    const { traceId, spanId, traceFlags } = span.spanContext();
    const context = trace.setSpan(ROOT_CONTEXT, span);
    return {
      traceparent: `00-${traceId}-${spanId}-${(traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, '0')}`,
      set: (more: SpanAttributes) => void span.setAttributes({ ...more }),
      rename: (better) => void span.updateName(better),
      fail: (type) => void span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR }),
      run: (work) => this.#running.run(context, work),
      end: () => span.end(),
    };
  }

  async close(): Promise<void> {
    await this.#provider.shutdown().catch(() => undefined);
  }
}

function contextOf(traceparent: string | null): Context {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (!traceId || !spanId || !flags) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
  });
}
