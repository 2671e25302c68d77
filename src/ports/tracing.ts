/** Names of attributes, from OpenTelemetry's semantic conventions or with `windlass.`: no other is ever sent. */
export interface SpanAttributes {
  'http.request.method'?: string;
  'http.route'?: string;
  'http.response.status_code'?: number;
  'db.system.name'?: 'mongodb' | 'sqlite';
  'db.operation.name'?: string;
  'messaging.system'?: 'rabbitmq' | 'windlass';
  'messaging.operation.type'?: 'send' | 'process';
  'messaging.destination.name'?: string;
  'messaging.message.id'?: string;
  'aws.s3.bucket'?: string;
  'error.type'?: string;
  'windlass.request.id'?: string;
  'windlass.upload.id'?: string;
  'windlass.upload.size'?: number;
  'windlass.strategy'?: string;
  'windlass.store.operation'?: string;
  'windlass.job.kind'?: string;
  'windlass.job.deliveries'?: number;
  'windlass.job.outcome'?: string;
}

export interface SpanOptions {
  kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  attributes?: SpanAttributes;
  /** W3C traceparent of what this is a part of. Left out, the span that runs now; null begins a trace. */
  parent?: string | null;
}

/** Something that takes time and belongs to a trace. */
export interface Span {
  /** W3C traceparent of this span; null where nothing is traced. */
  readonly traceparent: string | null;
  set(attributes: SpanAttributes): void;
  /** A better name, once it is known. */
  rename(name: string): void;
  /** It did not succeed; `type` is an error code, never a text. */
  fail(type: string): void;
  /** Carries out `work` as a part of this span. */
  run<T>(work: () => T): T;
  end(): void;
}

/** Tells where the time of one upload went, across processes. Never throws, and never waits for whoever listens. */
export interface Tracing {
  /** Whether spans go anywhere. */
  readonly enabled: boolean;
  start(name: string, options?: SpanOptions): Span;
  /** Sends what is left. */
  close(): Promise<void>;
}

const NO_SPAN: Span = {
  traceparent: null,
  set: () => undefined,
  rename: () => undefined,
  fail: () => undefined,
  run: (work) => work(),
  end: () => undefined,
};

/** The default: nothing is traced. */
export const NO_TRACING: Tracing = { enabled: false, start: () => NO_SPAN, close: async () => undefined };
