import type { Middleware } from 'koa';
import { STRATEGIES, type Strategy } from '../../core/upload.ts';
import { WindlassError } from '../../errors.ts';

/** Where new uploads by each strategy begin. All other addresses are those of any upload, however it began. */
const addressOf = (strategy: Strategy): string => `/v1/uploads/${strategy}`;

/** The addresses of the strategies that are not offered. */
export function addressesOff(offered: readonly Strategy[]): Map<string, Strategy> {
  return new Map(STRATEGIES.filter((name) => !offered.includes(name)).map((name) => [addressOf(name), name]));
}

/** Says that there is nothing at these addresses, and by `expected` what there is instead. */
export function strategiesOff(offered: readonly Strategy[]): Middleware {
  const off = addressesOff(offered);
  return (ctx, next) => {
    const strategy = off.get(ctx.path);
    if (strategy === undefined) return next();
    ctx.state.route = ctx.path;
    throw new WindlassError('not_found', `This server takes no ${strategy} uploads, only ${offered.join(', ')}.`, { expected: offered });
  };
}
