import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Metrics } from '../../metrics.ts';
import { asWindlassError, problemHeaders, problemOf } from '../problem.ts';
import { respondAndDrain } from '../refusal.ts';

/** The one place where errors become answers. */
export function errorAnswers({ log, metrics, docsUrl }: { log: Logger; metrics: Metrics; docsUrl: string }): Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      const error = asWindlassError(thrown, ctx.req.destroyed || ctx.res.destroyed);
      ctx.state.errorCode = error.code;
      ctx.state.status = error.status;
      if (error.code === 'internal') log.error({ err: error.cause ?? error, requestId: ctx.state.requestId }, 'unexpected error');
      // A client that goes away is nobody's error; the line of the request tells of it.
      else if (error.cause && error.code !== 'aborted')
        log.warn({ err: error, requestId: ctx.state.requestId, code: error.code }, 'request failed');
      metrics.rejections.inc({ reason: error.code });
      if (ctx.res.headersSent) ctx.res.destroy();
      else await answer(ctx, error.status, problemHeaders(error), JSON.stringify(problemOf(error, ctx.state.requestId, docsUrl)));
    }
  };
}

async function answer(ctx: Context, status: number, headers: Record<string, string>, body: string): Promise<void> {
  ctx.remove('Content-Disposition');
  ctx.remove('ETag');
  await respondAndDrain(ctx, status, headers, body);
}
