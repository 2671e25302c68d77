import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { LOG_LEVELS } from '../settings.ts';
import { changeLogLevel } from './log-level.ts';

export interface Health {
  /** Set once the process has opened everything it needs. */
  started: boolean;
  /** Whether new requests should be sent here. Says nothing about shared services: their 503 carries its reason. */
  ready: boolean;
}

export interface OpsParts {
  health: Readonly<Health>;
  registry: Registry;
  /** Brings gauges up to date before they are read. */
  refresh: () => Promise<void>;
  log: Logger;
}

/** Metrics, health and the level of the log, on a port of their own. */
export function createOpsServer({ health, registry, refresh, log }: OpsParts): Server {
  return createServer(async (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path === '/log-level') return logLevel(request, response, log);
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

async function logLevel(request: IncomingMessage, response: ServerResponse, log: Logger): Promise<void> {
  if (request.method === 'GET' || request.method === 'HEAD') return answer(response, 200, `${log.level}\n`);
  if (request.method !== 'PUT') return answer(response, 405, 'only GET, HEAD and PUT\n', { Allow: 'GET, HEAD, PUT' });
  const level = await changeLogLevel(request, log).catch(() => null);
  if (level === null) return answer(response, 400, `the body must be one of ${LOG_LEVELS.join(', ')}\n`, { Connection: 'close' });
  return answer(response, 200, `${level}\n`);
}

function answer(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(body), ...headers });
  response.end(body);
}
