import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import { ERRORS } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import type { Platform } from '../../platform.ts';
import type { Span } from '../../ports/tracing.ts';

const REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,127}$/;
/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Gives each request its id, its log line and its place in the metrics. */
export function requestContext({ log, metrics, tracing, newId }: Pick<Platform, 'log' | 'metrics' | 'tracing' | 'newId'>): Middleware {
  return (ctx, next) => {
    const started = performance.now();
    const sent = ctx.get('X-Request-Id');
    ctx.state.requestId = REQUEST_ID.test(sent) ? sent : newId();
    const parent = TRACEPARENT.test(ctx.get('traceparent')) ? ctx.get('traceparent') : null;
    const span = tracing.start(methodLabel(ctx.method), {
      kind: 'server',
      parent,
      attributes: { 'http.request.method': methodLabel(ctx.method), 'windlass.request.id': ctx.state.requestId },
    });
    // What follows, in this process or another, is a part of this request.
    ctx.state.traceparent = span.traceparent ?? parent;
    ctx.set('X-Request-Id', ctx.state.requestId);
    ctx.res.once('close', () => {
      const seconds = (performance.now() - started) / 1000;
      // Without an answer, nobody was there to read it.
      if (!ctx.res.headersSent) ctx.state.errorCode ??= 'aborted';
      const status = ctx.state.status ?? (ctx.res.headersSent ? ctx.res.statusCode : ERRORS.aborted.status);
      const labels = { route: ctx.state.route ?? 'none', method: methodLabel(ctx.method), status_class: `${Math.floor(status / 100)}xx` };
      metrics.httpRequestDuration.observe(labels, seconds);
      logRequest(log, ctx, status, seconds);
      endSpan(span, ctx, status);
    });
    return span.run(next);
  };
}

function endSpan(span: Span, ctx: Context, status: number): void {
  const { route, uploadId, errorCode } = ctx.state;
  if (route) span.rename(`${methodLabel(ctx.method)} ${route}`);
  span.set({
    'http.response.status_code': status,
    ...(route ? { 'http.route': route } : {}),
    ...(uploadId ? { 'windlass.upload.id': uploadId } : {}),
  });
  if (status >= 500) span.fail(errorCode ?? String(status));
  span.end();
}

/** The answers of a route that rates are made of are there from the start. */
export function zeroRequests(
  { httpRequestDuration }: Pick<Metrics, 'httpRequestDuration'>,
  route: string,
  methods: readonly string[],
): void {
  for (const method of methods)
    for (const status_class of ['2xx', '4xx', '5xx']) httpRequestDuration.zero({ route, method: method.toUpperCase(), status_class });
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']);
const methodLabel = (method: string): string => (METHODS.has(method) ? method : 'other');

function logRequest(log: Logger, ctx: Context, status: number, seconds: number): void {
  const line = {
    requestId: ctx.state.requestId,
    traceparent: ctx.state.traceparent ?? undefined,
    tenant: ctx.state.principal?.tenant,
    uploadId: ctx.state.uploadId,
    method: ctx.method,
    route: ctx.state.route ?? 'none',
    status,
    seconds: Number(seconds.toFixed(4)),
    code: ctx.state.errorCode,
    aborted: ctx.res.writableFinished ? undefined : true,
  };
  if (status >= 500 && status !== 503 && status !== 507) log.error(line, 'request');
  else log.info(line, 'request');
}
