import type { Server } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Middleware } from 'koa';
import type { Assembly } from './assembly.ts';
import { Admission } from './http/admission.ts';
import { createApp } from './http/app.ts';
import { Connections } from './http/connections.ts';
import { addressesOff } from './http/middleware/strategies-off.ts';
import type { Route } from './http/route.ts';
import { adminRoutes } from './http/routes/admin.ts';
import { contentRoutes } from './http/routes/content.ts';
import { presignRoutes } from './http/routes/presign.ts';
import { receiveRoutes } from './http/routes/receive.ts';
import { resourceRoutes } from './http/routes/resources.ts';
import { uploadRoutes } from './http/routes/uploads.ts';
import { createHttpServer, listen } from './http/server.ts';
import type { TokenFile } from './tokens.ts';

export interface ApiOptions {
  assembly: Assembly;
  storeEndpoint: Middleware | null;
  internalEndpoint: Middleware | null;
  tokens: TokenFile | null;
  publicUrl: string;
  port: number;
  version: string;
}

function allRoutes(assembly: Assembly, publicUrl: string, stopping: AbortSignal): Route[] {
  const contentUrl = assembly.platform.config.CONTENT_PUBLIC_URL ?? publicUrl;
  const parts = { ...assembly.platform, ...assembly, publicUrl, contentUrl, stopping };
  const off = addressesOff(parts.config.STRATEGIES);
  const routes = [
    ...receiveRoutes(parts),
    ...presignRoutes(parts),
    ...uploadRoutes(parts),
    ...contentRoutes(parts),
    ...resourceRoutes(parts),
    ...adminRoutes(parts),
  ];
  return routes.filter(({ path }) => !off.has(path));
}

/** How long a connection on which nothing was asked yet may still be used after SIGTERM: its request may be on its way. */
const SILENT_MS = 1000;

/** The HTTP side of a process. */
export class Api {
  readonly #server: Server;
  readonly #connections: Connections;
  readonly #stopping = new AbortController();
  readonly #admission = new Admission();
  readonly #options: ApiOptions;
  #draining = false;

  constructor(options: ApiOptions) {
    const { platform } = options.assembly;
    this.#options = options;
    const routes = allRoutes(options.assembly, options.publicUrl, this.#stopping.signal);
    const draining = (): boolean => this.#draining;
    this.#server = createHttpServer(createApp({ ...platform, ...options, routes, draining, admission: this.#admission }));
    this.#connections = new Connections(this.#server);
  }

  /** Begins to listen; the port. */
  start(): Promise<number> {
    return listen(this.#server, this.#options.port, this.#options.assembly.platform.config.HOST);
  }

  /** From now on answers close their connections; requests are still served. */
  drain(): void {
    this.#draining = true;
  }

  /**
   * Takes no new requests, ends waits and event streams, lets bodies in flight finish until `graceMs` is over. True when
   * all did. Where others read this server's disk, they are answered all that time, and until `handOver` has resolved.
   */
  async stop(graceMs: number, handOver: () => Promise<unknown> = async () => undefined): Promise<boolean> {
    const deadline = performance.now() + graceMs;
    this.#draining = true;
    this.#stopping.abort();
    if (this.#options.internalEndpoint) {
      await pause(Math.min(graceMs, SILENT_MS));
      const left = new AbortController();
      await Promise.race([this.#admission.close(), pause(deadline - performance.now(), null, { signal: left.signal }).catch(() => null)]);
      left.abort();
      await handOver();
    }
    return this.#close(Math.max(0, deadline - performance.now()));
  }

  /** Takes no new connections, and gives those that are open `graceMs` to end. */
  async #close(graceMs: number): Promise<boolean> {
    const closed = new Promise<boolean>((resolve) => this.#server.close(() => resolve(true)));
    this.#connections.close(Math.min(graceMs, SILENT_MS));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), graceMs);
    });
    const finished = await Promise.race([closed, late]);
    clearTimeout(timer);
    if (!finished) this.#server.closeAllConnections();
    return finished;
  }
}
