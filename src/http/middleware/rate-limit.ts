import type { Middleware } from 'koa';
import { WindlassError } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';

const WINDOW_SECONDS = 2;

/** Holds each tenant to a number of requests a second, averaged over two seconds so that short bursts pass. 0 lets everything pass. */
export function rateLimit(perSecond: number, metrics: Pick<Metrics, 'rateLimited' | 'tenant'>): Middleware {
  if (perSecond === 0) return (_ctx, next) => next();
  // Most servers have no limit, and do without the package.
  const loading = import('rate-limiter-flexible').then(
    ({ RateLimiterMemory }) => new RateLimiterMemory({ points: perSecond * WINDOW_SECONDS, duration: WINDOW_SECONDS }),
  );
  return async (ctx, next) => {
    const limiter = await loading;
    const refused = await limiter.consume(ctx.state.principal.tenant).then(
      () => null,
      (result: { msBeforeNext: number }) => result,
    );
    if (refused) {
      metrics.rateLimited.inc(metrics.tenant(ctx.state.principal.tenant));
      const retryAfter = Math.max(1, Math.ceil(refused.msBeforeNext / 1000));
      throw new WindlassError('rate_limited', `This tenant may make ${perSecond} requests a second.`, { limit: perSecond, retryAfter });
    }
    await next();
  };
}
