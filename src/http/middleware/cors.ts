import cors from '@koa/cors';
import type { Middleware } from 'koa';

/** What pages of other origins may read of an answer. A browser cannot complete a multipart upload without ETag. */
const EXPOSED = [
  'ETag',
  'Location',
  'Retry-After',
  'X-Request-Id',
  'Content-Range',
  'Content-Disposition',
  'Repr-Digest',
  'Accept-Ranges',
  'Preference-Applied',
];
const METHODS = 'GET,HEAD,PUT,POST,DELETE';
const MAX_AGE_SECONDS = 600;

/**
 * CORS for the API and the store links alike (Fetch standard). Tokens travel in a header and links in the address, never
 * in cookies, so credentials are not allowed. Asked-for headers are granted as they are.
 */
export function crossOrigin(origins: readonly string[]): Middleware {
  const any = origins.includes('*');
  const answer = cors({
    origin: (ctx) => (any ? '*' : origins.includes(ctx.get('Origin')) ? ctx.get('Origin') : ''),
    allowMethods: METHODS,
    exposeHeaders: EXPOSED,
    maxAge: MAX_AGE_SECONDS,
    privateNetworkAccess: true,
  });
  return (ctx, next) => {
    // To everybody the same: caches that do not know Vary then have the right answer for pages of other origins, too.
    if (any || ctx.req.headers.origin !== undefined) return answer(ctx, next);
    // No page of another origin; a cache has to know that for those the answer is another.
    ctx.set('Vary', 'Origin');
    return next();
  };
}
