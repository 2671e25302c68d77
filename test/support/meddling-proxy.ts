import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';
import { text } from 'node:stream/consumers';

/**
 * What becomes of a request: passed on; held without an answer; refused with a status; carried out without the client
 * hearing of it; or answered with no more than the first bytes of the body, with other bytes, or with another text.
 */
export type Meddling =
  | 'pass'
  | 'hold'
  | 'lose-answer'
  | { status: number }
  | { cutAfter: number }
  | 'falsify'
  | { rewrite: [pattern: RegExp, text: string] };

export interface SeenRequest {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
}

/** A reverse proxy that does to requests what networks do. */
export class MeddlingProxy {
  readonly url: string;
  readonly seen: SeenRequest[] = [];
  /** Asked for each request that comes. */
  meddle: (request: SeenRequest) => Meddling = () => 'pass';
  readonly #server: Server;
  #port = 0;
  #held: () => void = () => undefined;
  /** Resolves when the first request is being held. */
  readonly held = new Promise<void>((resolve) => {
    this.#held = resolve;
  });

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}`;
    server.on('request', (incoming, outgoing) => this.#handle(incoming, outgoing));
  }

  static async open(): Promise<MeddlingProxy> {
    const server = createServer();
    server.listen(0, 'localhost');
    await once(server, 'listening');
    return new MeddlingProxy(server);
  }

  forwardTo(port: number): void {
    this.#port = port;
  }

  /** Requests with this method whose path matches. */
  count(method: string, path: RegExp): number {
    return this.seen.filter((one) => one.method === method && path.test(one.path)).length;
  }

  /** Breaks every connection that there is, held ones included. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #handle(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const one: SeenRequest = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers };
    this.seen.push(one);
    const meddling = this.meddle(one);
    if (meddling === 'hold') this.#held();
    else if (typeof meddling === 'object' && 'status' in meddling) refuse(incoming, outgoing, meddling.status);
    else this.#forward(incoming, outgoing, meddling);
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse, meddling: Exclude<Meddling, 'hold' | { status: number }>): void {
    const { expect: _, ...headers } = incoming.headers;
    const onward = request({ port: this.#port, host: '127.0.0.1', method: incoming.method, path: incoming.url, headers });
    incoming.pipe(onward);
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    onward.on('response', (answer) => {
      if (meddling === 'lose-answer') {
        answer.resume();
        return void answer.once('end', () => outgoing.destroy());
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      if (typeof meddling === 'object' && 'rewrite' in meddling) void rewrite(answer, outgoing, meddling.rewrite);
      else if (meddling === 'falsify') answer.pipe(falsified()).pipe(outgoing);
      else if (typeof meddling === 'object') sendBeginning(answer, outgoing, meddling.cutAfter);
      else answer.pipe(outgoing);
    });
  }
}

/** The replacement has the length of what it replaces, or the answer would not fit its headers. */
async function rewrite(answer: IncomingMessage, outgoing: ServerResponse, [pattern, replacement]: [RegExp, string]): Promise<void> {
  outgoing.end((await text(answer)).replace(pattern, replacement));
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, status: number): void {
  incoming.resume();
  incoming.once('end', () => outgoing.writeHead(status).end());
}

const falsified = (): Transform =>
  new Transform({
    transform: (chunk: Buffer, _encoding, done) =>
      done(
        null,
        chunk.map((byte) => byte ^ 1),
      ),
  });

function sendBeginning(answer: IncomingMessage, outgoing: ServerResponse, bytes: number): void {
  let left = bytes;
  answer.on('data', (chunk: Buffer) => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    outgoing.write(part, () => left === 0 && outgoing.destroy());
    if (left === 0) answer.destroy();
  });
}
