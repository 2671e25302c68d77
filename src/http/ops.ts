import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';

export interface Health {
  /** Set once the process has opened everything it needs. */
  started: boolean;
  /** Whether new requests should be sent here. Says nothing about shared services: their 503 carries its reason. */
  ready: boolean;
}

/** Metrics and health, on a port of their own. `refresh` brings gauges up to date before they are read. */
export function createOpsServer(health: Readonly<Health>, registry: Registry, refresh: () => Promise<void>): Server {
  return createServer(async (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, 'only GET and HEAD\n', { Allow: 'GET, HEAD' });
    if (path === '/livez') return answer(response, 200, 'alive\n');
    if (path === '/startupz') return answer(response, health.started ? 200 : 503, health.started ? 'started\n' : 'starting\n');
    if (path === '/readyz') return answer(response, health.ready ? 200 : 503, health.ready ? 'ready\n' : 'not ready\n');
    if (path === '/metrics') {
      await refresh().catch(() => undefined);
      return answer(response, 200, await registry.metrics(), { 'Content-Type': registry.contentType });
    }
    return answer(response, 404, 'not found\n');
  });
}

function answer(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(body), ...headers });
  response.end(body);
}
