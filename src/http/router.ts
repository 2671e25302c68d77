import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Config } from '../config.ts';
import { WindlassError } from '../errors.ts';
import type { Principal, Scope } from '../tokens.ts';
import { readJson } from './receive/json.ts';
import type { Reply, Route } from './route.ts';
import { queryOf, validate, validator } from './validation.ts';

/** A router for the list of routes: checks scope, parameters, query and body, then hands over to the route. */
export function routerOf(routes: readonly Route[], config: Pick<Config, 'MAX_JSON_BYTES'>): Middleware {
  const router = new Router();
  for (const route of routes) {
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    const validQuery = route.query && validator(route.query, '/query');
    router.register(path, [route.method === 'get' ? ['get', 'head'] : [route.method]].flat(), (ctx: Context) =>
      serve(ctx, route, validQuery, config),
    );
  }
  const dispatch = router.routes() as unknown as Middleware;
  return (ctx, next) =>
    dispatch(ctx, () => {
      const allow = allowedAt(ctx.matched ?? []);
      if (allow.length > 0 && !allow.includes(ctx.method)) throw methodNotAllowed(ctx.method, allow);
      return next();
    });
}

/** The methods at an address. A fixed path (`/v1/uploads/relay`) also matches a pattern (`/v1/uploads/{id}`), whose methods make no sense there. */
function allowedAt(matched: readonly { path: string | RegExp; methods: string[] }[]): string[] {
  const fixed = matched.filter(({ path }) => !String(path).includes(':'));
  return [...new Set((fixed.length > 0 ? fixed : matched).flatMap(({ methods }) => methods))];
}

export const methodNotAllowed = (method: string, allow: string[]): WindlassError =>
  new WindlassError('method_not_allowed', `${method} is not possible here.`, { allow });

async function serve(
  ctx: Context,
  route: Route,
  validQuery: ((query: object) => unknown) | undefined,
  config: Pick<Config, 'MAX_JSON_BYTES'>,
): Promise<void> {
  ctx.state.route = route.path;
  const principal: Principal = ctx.state.principal;
  requireScope(principal, route.scope);
  const params = route.params ? paramsOf(ctx, route) : undefined;
  if (params && typeof params === 'object' && 'id' in params && route.path.includes('/uploads/{id}')) ctx.state.uploadId = params.id;
  const query = validQuery?.(queryOf(ctx));
  const body = route.body ? validate(route.body, await readJson(ctx, config.MAX_JSON_BYTES)) : undefined;
  const { requestId, traceparent } = ctx.state;
  const reply = await route.handle({ ctx, params, query, body, principal, requestId, traceparent });
  if (reply) send(ctx, reply);
}

function requireScope(principal: Principal, scope: Scope): void {
  if (principal.scopes.has(scope)) return;
  throw new WindlassError('forbidden', `The token lacks the scope ${scope}.`, { expected: scope });
}

/** What is malformed cannot exist, so it is not found. */
function paramsOf(ctx: Context, route: Route): unknown {
  const result = route.params?.safeParse(ctx.params);
  if (result?.success) return result.data;
  const allow = allowedAt(ctx.matched ?? []);
  if (!allow.includes(ctx.method)) throw methodNotAllowed(ctx.method, allow);
  throw new WindlassError('not_found', 'There is nothing at this address.');
}

function send(ctx: Context, { status, body, headers }: Reply): void {
  ctx.status = status;
  ctx.set('Cache-Control', 'no-store');
  if (headers) ctx.set(headers);
  if (body === undefined) return;
  ctx.type = 'application/json';
  ctx.body = JSON.stringify(body);
}
