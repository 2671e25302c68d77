import type { Server } from 'node:http';
import Koa from 'koa';
import type { Environment } from '../../src/config.ts';
import { errorAnswers } from '../../src/http/middleware/errors.ts';
import { requestContext } from '../../src/http/middleware/request-context.ts';
import { routerOf } from '../../src/http/router.ts';
import { contentRoutes } from '../../src/http/routes/content.ts';
import { receiveRoutes } from '../../src/http/routes/receive.ts';
import { createHttpServer, listen } from '../../src/http/server.ts';
import { Members } from '../../src/members.ts';
import type { Platform } from '../../src/platform.ts';
import { Direct } from '../../src/strategies/direct.ts';
import { Relay } from '../../src/strategies/relay.ts';
import { StoredContent } from '../../src/strategies/stored-content.ts';
import { SCOPES } from '../../src/tokens.ts';
import { ApiClient } from './api-client.ts';
import { openTestPlatform, type TestPlatform } from './platform.ts';

export interface UploadServer extends TestPlatform {
  port: number;
  api: ApiClient;
}

/** A server that takes and gives bytes, in this process, so that tests can put their own parts in its place. */
export async function startUploadServer(
  environment: Environment = {},
  replace: (platform: Platform) => Partial<Platform> = () => ({}),
): Promise<UploadServer> {
  const test = await openTestPlatform(environment);
  const platform: Platform = { ...test.platform, ...replace(test.platform) };
  const parts = { ...platform, ledger: test.ledger, members: new Members(platform) };
  const publicUrl = 'http://localhost:8080';
  const contentUrl = platform.config.CONTENT_PUBLIC_URL ?? publicUrl;
  const routes = [
    ...receiveRoutes({ ...platform, direct: new Direct(parts), relay: new Relay(parts), publicUrl, contentUrl }),
    ...contentRoutes({ platform, content: new StoredContent(parts) }),
  ];
  const app = new Koa();
  app.on('error', () => undefined);
  app.use(requestContext(platform));
  app.use(errorAnswers({ ...platform, docsUrl: `${publicUrl}/docs/errors` }));
  app.use((ctx, next) => {
    ctx.state.principal = { tenant: ctx.get('Test-Tenant') || 'acme', scopes: new Set(SCOPES) };
    return next();
  });
  app.use(routerOf(routes, platform.config));
  const server: Server = createHttpServer(app);
  const port = await listen(server, 0, '127.0.0.1');
  return {
    ...test,
    platform,
    port,
    api: new ApiClient(`http://127.0.0.1:${port}`),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await test.close();
    },
  };
}
