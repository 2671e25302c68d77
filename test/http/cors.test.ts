import type { Server } from 'node:http';
import { expect, test } from '@jest/globals';
import Koa from 'koa';
import { crossOrigin } from '../../src/http/middleware/cors.ts';
import { createHttpServer, listen } from '../../src/http/server.ts';

async function headersOf(origins: string[], headers: Record<string, string> = {}): Promise<(string | null)[]> {
  const app = new Koa();
  app.use(crossOrigin(origins));
  app.use((ctx) => {
    ctx.body = 'content';
  });
  const server: Server = createHttpServer(app);
  const port = await listen(server, 0, '127.0.0.1');
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers });
    return [answer.headers.get('vary'), answer.headers.get('access-control-allow-origin')];
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const APP = 'https://app.example.com';

test('a cache learns that the answer depends on the origin, also from a request that names none', async () => {
  expect(await headersOf([APP])).toEqual(['Origin', null]);
  expect(await headersOf([APP], { Origin: APP })).toEqual(['Origin', APP]);
});

test('what is for every origin can be kept for every origin, whoever asked first', async () => {
  expect(await headersOf(['*'])).toEqual(['Origin', '*']);
  expect(await headersOf(['*'], { Origin: APP })).toEqual(['Origin', '*']);
});
