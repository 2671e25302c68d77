import type { Context, Middleware } from 'koa';
import { WindlassError } from '../../errors.ts';
import { type Principal, SCOPES, type TokenFile } from '../../tokens.ts';

const EVERYONE: Principal = { tenant: 'default', scopes: new Set(SCOPES) };
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]{1,512}=*)$/i;
const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Finds out who sends the request (RFC 6750). Without a tokens file everyone on this machine is trusted, but no page of another site. */
export function authentication(tokens: TokenFile | null, trusted: { publicUrl: string; origins: readonly string[] }): Middleware {
  const own = new URL(trusted.publicUrl).hostname;
  return (ctx, next) => {
    if (tokens) ctx.state.principal = principalOf(ctx.get('Authorization'), tokens);
    else {
      refuseOtherSites(ctx, own, trusted.origins);
      ctx.state.principal = EVERYONE;
    }
    return next();
  };
}

function principalOf(header: string, tokens: TokenFile): Principal {
  const token = BEARER.exec(header)?.[1];
  const principal = token === undefined ? null : tokens.find(token);
  if (!principal) throw new WindlassError('unauthorized', header === '' ? 'The request carries no token.' : 'The token is not known here.');
  return principal;
}

/**
 * A server without tokens trusts whoever reaches its loopback address, and a browser on this machine does so for any page
 * it shows: by plain cross-origin forms, or by a host name that was made to point here. Both show in the headers.
 */
function refuseOtherSites(ctx: Context, own: string, origins: readonly string[]): void {
  const hostname = (ctx.req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  if (!LOOPBACK_NAMES.has(hostname) && hostname !== own)
    throw new WindlassError('forbidden', 'Without TOKENS_FILE this server answers only to its own names.', { expected: own });
  const origin = ctx.get('Origin');
  if (origin === '' || origins.includes(origin) || origins.includes('*') || origin === `${ctx.protocol}://${ctx.host}`) return;
  throw new WindlassError('forbidden', 'Pages of this origin may not use this server; CORS_ORIGINS names those that may.', {
    actual: origin,
  });
}
