import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

export interface PassedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
}

/**
 * A proxy that reads a request whole before it passes it on, as nginx does by default. Versity Gateway 1.8 keeps what has
 * arrived of a body that breaks off (versity/versitygw#2414; MinIO and AWS do not): behind such a proxy it never sees one.
 */
export class BufferingProxy {
  readonly url: string;
  readonly passed: PassedRequest[] = [];
  /** Response headers that do not come through: what a store would not know. */
  withheld: readonly string[] = [];
  /** Request headers that are answered with 501, as by a store that does not know what they ask for. */
  unknown: readonly string[] = [];
  /** Happens before a request is passed on: what somebody else does at that moment. */
  meanwhile: (request: PassedRequest) => Promise<unknown> | undefined = () => undefined;
  readonly #server: Server;
  readonly #target: URL;

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = new URL(target);
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (req, res) => void this.#forward(req, res).catch(() => res.destroy()));
  }

  static async to(target: string): Promise<BufferingProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new BufferingProxy(server, target);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The host stays as the client sent it: it is signed. */
  async #forward(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await buffer(req);
    const { method = 'GET', url = '/', headers } = req;
    const passed = { method, path: url, headers };
    this.passed.push(passed);
    await this.meanwhile(passed);
    if (this.unknown.some((name) => name in headers)) {
      const text = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>NotImplemented</Code></Error>';
      return void res.writeHead(501, { 'Content-Type': 'application/xml' }).end(text);
    }
    const { hostname, port } = this.#target;
    const onward = request({ hostname, port, method, path: url, headers });
    onward.end(body);
    const [answer] = (await once(onward, 'response')) as [IncomingMessage];
    for (const name of this.withheld) delete answer.headers[name];
    res.writeHead(answer.statusCode ?? 502, answer.headers);
    await pipeline(answer, res);
  }
}
