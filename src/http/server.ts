import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type Koa from 'koa';
import { ERRORS } from '../errors.ts';
import { PROBLEM_TYPE } from './problem.ts';

/** Longer than the idle time of usual load balancers (60 s), so that they and not we close an idle connection. */
const KEEP_ALIVE_MS = 75_000;
const HEADERS_MS = 30_000;
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * The HTTP server. Node's own request timeout would cut long uploads and is off: bodies have a progress timeout instead.
 * `Expect: 100-continue` goes to the application, which asks for the body only when it begins to read it.
 */
export function createHttpServer(app: Koa): Server {
  const handle = app.callback();
  const server = createServer(
    {
      requestTimeout: 0,
      headersTimeout: HEADERS_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      noDelay: true,
      // The application refuses it too, and says why.
      requireHostHeader: false,
    },
    handle,
  );
  server.on('checkContinue', handle);
  // Expectations that nobody has heard of are ignored; Node would answer them itself, and not in our form.
  server.on('checkExpectation', handle);
  const answers = new WeakMap<Duplex, ServerResponse>();
  for (const event of ['request', 'checkContinue']) server.on(event, ({ socket }, response) => answers.set(socket, response));
  server.on('clientError', (error, socket) => refuseUnreadable(error, socket, answers.get(socket)));
  return server;
}

/**
 * What cannot be parsed as HTTP never reaches the application, but is answered in the same form; not in the middle of an
 * earlier answer, whose body it would become part of.
 */
function refuseUnreadable(error: Error & { code?: string }, socket: Duplex, earlier: ServerResponse | undefined): void {
  const answering = earlier?.headersSent && !earlier.writableFinished;
  if (error.code === 'ECONNRESET' || !socket.writable || answering) return void socket.destroy();
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const status = tooLarge
    ? '431 Request Header Fields Too Large'
    : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : '400 Bad Request';
  const code = tooLarge ? 'headers_too_large' : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'upload_timeout' : 'invalid_request';
  const body = JSON.stringify({
    type: 'about:blank',
    title: ERRORS[code].title,
    status: Number.parseInt(status, 10),
    detail: 'The request could not be read as HTTP/1.1.',
    code,
  });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Resolves with the port that the server listens on. */
export function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });
}
