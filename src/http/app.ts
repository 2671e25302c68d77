import Koa, { type Context, type Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { WindlassError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Tracing } from '../ports/tracing.ts';
import type { TokenFile } from '../tokens.ts';
import type { Admission } from './admission.ts';
import { authentication } from './middleware/authentication.ts';
import { crossOrigin } from './middleware/cors.ts';
import { errorAnswers } from './middleware/errors.ts';
import { fewAtATime } from './middleware/few-at-a-time.ts';
import { rateLimit } from './middleware/rate-limit.ts';
import { requestContext, zeroRequests } from './middleware/request-context.ts';
import { strategiesOff } from './middleware/strategies-off.ts';
import { openApiDocument } from './openapi.ts';
import { loadPages, servePage } from './pages.ts';
import type { Route } from './route.ts';
import { routerOf } from './router.ts';

export interface AppParts {
  config: Config;
  log: Logger;
  metrics: Metrics;
  tracing: Tracing;
  newId: () => string;
  tokens: TokenFile | null;
  routes: readonly Route[];
  /** Serves the signed links of the embedded store below /store; null when the store is elsewhere. */
  storeEndpoint: Middleware | null;
  /** Answers other servers and workers below /internal; null when there are none. */
  internalEndpoint: Middleware | null;
  version: string;
  publicUrl: string;
  /** Whether the process is being stopped: answers then close their connections. */
  draining: () => boolean;
  /** Of clients' requests; other servers' go past it. */
  admission: Admission;
}

/**
 * The HTTP application, from the outside in: request id and log, CORS, errors, pages and store links, few at a time,
 * token, rate, routes.
 */
export function createApp({
  config,
  log,
  metrics,
  tracing,
  newId,
  tokens,
  routes,
  storeEndpoint,
  internalEndpoint,
  version,
  publicUrl,
  draining,
  admission,
}: AppParts): Koa {
  const app = new Koa();
  const origins = config.CORS_ORIGINS ?? ownOrigins(publicUrl);
  const pages = loadPages(openApiDocument(routes, { version, serverUrl: publicUrl, tokens: tokens !== null }), config.STRATEGIES);
  app.on('error', (error: unknown, ctx?: Context) =>
    log.debug({ err: error, requestId: ctx?.state.requestId }, 'stream of an answer ended early'),
  );

  for (const { path, method } of routes) zeroRequests(metrics, path, [method].flat());

  app.use(requestContext({ log, metrics, tracing, newId }));
  app.use(crossOrigin(origins));
  app.use(errorAnswers({ log, metrics, docsUrl: `${publicUrl}/docs/errors` }));
  app.use(requireHost);
  app.use((ctx, next) => {
    if (draining()) ctx.set('Connection', 'close');
    const page = pages.get(ctx.path);
    return page ? servePage(ctx, page) : next();
  });
  if (storeEndpoint) app.use(below('/store', storeEndpoint));
  if (internalEndpoint) app.use(below('/internal', internalEndpoint));
  app.use(admission.middleware);
  app.use(fewAtATime());
  app.use(authentication(tokens, { publicUrl, origins }));
  app.use(rateLimit(config.RATE_LIMIT_PER_SECOND, metrics));
  app.use(strategiesOff(config.STRATEGIES));
  app.use(routerOf(routes, config));
  app.use(() => {
    throw new WindlassError('not_found', 'There is nothing at this address.');
  });
  return app;
}

/** localhost and 127.0.0.1 are the same server but two origins, and people open either. */
function ownOrigins(publicUrl: string): string[] {
  const { origin, hostname, port } = new URL(publicUrl);
  return hostname === 'localhost' || hostname === '127.0.0.1' ? [`http://localhost:${port}`, `http://127.0.0.1:${port}`] : [origin];
}

/** RFC 9112, section 3.2. */
const requireHost: Middleware = ({ req }, next) => {
  if (req.headers.host === undefined && req.httpVersion === '1.1')
    throw new WindlassError('invalid_request', 'The request has no Host header.', {
      errors: [{ pointer: '/headers/host', detail: 'is missing' }],
    });
  return next();
};

const below =
  (prefix: string, middleware: Middleware): Middleware =>
  (ctx, next) => {
    if (ctx.path !== prefix && !ctx.path.startsWith(`${prefix}/`)) return next();
    ctx.state.route = `${prefix}/{key}`;
    return middleware(ctx, next);
  };
