import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LocalFailure, Unreachable } from './failures.ts';

/** Nothing sent and nothing received for so long is a lost connection. Longer than any wait that is asked for. */
const IDLE_MS = 120_000;
/** As curl does: a server that does not know `Expect` gets the body after this. */
const CONTINUE_MS = 1000;
const EXPECT_BYTES = 1024 ** 2;

/** Bytes to send, opened once for each try. */
export interface Body {
  /** Null when it is known only at the end: the body then goes out chunked. */
  size: number | null;
  open(): Readable;
  /** Told of what goes out. */
  onChunk?: (chunk: Buffer) => void;
}

export interface Outgoing {
  method: string;
  url: URL;
  headers: Record<string, string>;
  body?: Body | undefined;
  /** Asks first whether a large body is welcome (`Expect: 100-continue`), so that a refusal costs nothing. */
  askFirst?: boolean;
}

/** HTTP/1.1 over kept connections, for one run of a command. */
export class Connection {
  readonly #agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };
  readonly #reached = new Set<string>();
  readonly #idleMs: number;

  constructor(idleMs = IDLE_MS) {
    this.#idleMs = idleMs;
  }

  /** Whether this address took a connection before in this run: then its absence may pass. */
  hasReached(origin: string): boolean {
    return this.#reached.has(origin);
  }

  /** The answer, its body not yet read. Throws Unreachable, or LocalFailure when the body is not as long as it was said to be. */
  async send(outgoing: Outgoing): Promise<IncomingMessage> {
    const { url, body } = outgoing;
    const request = this.#request(outgoing);
    this.#watch(request, url);
    const answer = answerTo(request);
    // Failures of the body while the answer is waited for; without the handler they would count as unhandled.
    answer.catch(() => undefined);
    try {
      if (body) await Promise.race([sendBody(request, body), answer]);
      else request.end();
      const response = await answer;
      if (!request.writableFinished) response.once('close', () => request.destroy());
      return response;
    } catch (error) {
      request.destroy();
      throw error instanceof LocalFailure ? error : new Unreachable(url.origin, error as Error);
    }
  }

  close(): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  /** An address counts as reached once somebody there took the connection. */
  #watch(request: ClientRequest, { protocol, origin }: URL): void {
    const reached = (): unknown => this.#reached.add(origin);
    request.once('socket', (socket) => {
      if (socket.connecting) socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', reached);
    });
  }

  #request({ method, url, headers, body, askFirst }: Outgoing): ClientRequest {
    const secure = url.protocol === 'https:';
    const framing: Record<string, string> = !body
      ? {}
      : body.size === null
        ? { 'Transfer-Encoding': 'chunked' }
        : { 'Content-Length': String(body.size) };
    if (askFirst && body && (body.size === null || body.size > EXPECT_BYTES)) framing.Expect = '100-continue';
    const options: RequestOptions = { method, headers: { ...headers, ...framing }, agent: secure ? this.#agents.https : this.#agents.http };
    const request = secure ? httpsRequest(url, options) : httpRequest(url, options);
    request.setTimeout(this.#idleMs, () => request.destroy(Object.assign(new Error('silent for too long'), { code: 'ETIMEDOUT' })));
    return request;
  }
}

/** An answer may come before the body is through: then it is a refusal, and it is what counts, not the cut that follows. */
function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
  });
}

async function sendBody(request: ClientRequest, body: Body): Promise<void> {
  if (request.getHeader('Expect') && !(await invited(request))) return;
  const source = body.open();
  request.once('response', () => source.destroy());
  let sent = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sent += chunk.length;
      body.onChunk?.(chunk);
      done(null, chunk);
    },
    flush(done) {
      done(body.size === null || sent === body.size ? null : changed(body.size, sent));
    },
  });
  try {
    await pipeline(source, counted, request);
  } catch (error) {
    // The answer came early and ended the body.
    if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE' && source.destroyed && !source.errored) return;
    throw error;
  }
}

/** True when the server asks for the body, or has not said anything for a while; false when it has answered already. */
function invited(request: ClientRequest): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CONTINUE_MS, true);
    const settle = (welcome: boolean) => () => {
      clearTimeout(timer);
      resolve(welcome);
    };
    request.once('continue', settle(true)).once('response', settle(false)).once('close', settle(false));
    request.flushHeaders();
  });
}

const changed = (expected: number, actual: number): LocalFailure =>
  new LocalFailure(
    'file_changed',
    `the file had ${expected} bytes when it was opened, but ${actual} could be read`,
    'Run the command again once nothing writes to the file.',
  );
