import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Metrics } from '../../metrics.ts';

const REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,127}$/;
/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Gives each request its id, its log line and its place in the metrics. */
export function requestContext({ log, metrics, newId }: { log: Logger; metrics: Metrics; newId: () => string }): Middleware {
  return async (ctx, next) => {
    const started = performance.now();
    const sent = ctx.get('X-Request-Id');
    ctx.state.requestId = REQUEST_ID.test(sent) ? sent : newId();
    ctx.state.traceparent = TRACEPARENT.test(ctx.get('traceparent')) ? ctx.get('traceparent') : null;
    ctx.set('X-Request-Id', ctx.state.requestId);
    ctx.res.once('close', () => {
      const seconds = (performance.now() - started) / 1000;
      const status = ctx.state.status ?? ctx.res.statusCode;
      const labels = { route: ctx.state.route ?? 'none', method: methodLabel(ctx.method), status_class: `${Math.floor(status / 100)}xx` };
      metrics.httpRequestDuration.observe(labels, seconds);
      logRequest(log, ctx, status, seconds);
    });
    await next();
  };
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
