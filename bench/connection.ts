import { connect, type Socket } from 'node:net';

/** One request body: `size` bytes made from a repeated block, with an optional frame around it (a form). */
export interface Body {
  before: Buffer;
  size: number;
  after: Buffer;
}

export interface HttpRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Body | null;
  /** Bytes a second; null as fast as it goes. */
  rate: number | null;
}

export interface HttpAnswer {
  status: number;
  body: string;
  ms: number;
}

const BLOCK = Buffer.alloc(256 * 1024, 'windlass bench 0123456789abcdef ');

/**
 * A kept-alive HTTP/1.1 connection that does as little as can be, so that the server and not the client is measured.
 * Answers must have a Content-Length.
 */
export class Connection {
  readonly #port: number;
  #socket: Socket | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  async send(request: HttpRequest): Promise<HttpAnswer> {
    const started = performance.now();
    const socket = await this.#open();
    const answer = readAnswer(socket);
    answer.catch(() => undefined);
    await writeRequest(socket, request, this.#port);
    const { status, body, close } = await answer;
    if (close) this.close();
    return { status, body, ms: performance.now() - started };
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  async #open(): Promise<Socket> {
    if (this.#socket && !this.#socket.destroyed && this.#socket.writable) return this.#socket;
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    socket.setMaxListeners(0);
    this.#socket = socket;
    return socket;
  }
}

async function writeRequest(socket: Socket, { method, path, headers, body, rate }: HttpRequest, port: number): Promise<void> {
  const length = body ? body.before.length + body.size + body.after.length : 0;
  const lines = Object.entries({ Host: `127.0.0.1:${port}`, ...headers, 'Content-Length': String(length) }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  if (!body) return;
  if (body.before.length > 0) socket.write(body.before);
  await (rate === null ? writeFast(socket, body.size) : writeSlowly(socket, body.size, rate));
  if (body.after.length > 0) socket.write(body.after);
}

async function writeFast(socket: Socket, size: number): Promise<void> {
  for (let left = size; left > 0; left -= BLOCK.length) {
    const more = socket.write(left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left));
    if (!more) await drained(socket);
  }
}

async function writeSlowly(socket: Socket, size: number, rate: number): Promise<void> {
  const step = Math.max(1, Math.round(rate / 10));
  for (let left = size; left > 0; left -= step) {
    socket.write(BLOCK.subarray(0, Math.min(step, left)));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('drain', done).off('close', gone);
      resolve();
    };
    const gone = (): void => reject(new Error('the server closed the connection in mid-body'));
    socket.once('drain', done).once('close', gone);
  });
}

function readAnswer(socket: Socket): Promise<{ status: number; body: string; close: boolean }> {
  return new Promise((resolve, reject) => {
    let text = '';
    const finish = (settle: () => void): void => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      settle();
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = text.slice(0, end);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      const status = Number(head.slice(9, 12));
      if (status === 100) {
        text = text.slice(end + 4);
        return;
      }
      finish(() => resolve({ status, body: text.slice(end + 4), close: /connection: *close/i.test(head) }));
    };
    const onError = (error: Error): void => finish(() => reject(error));
    const onClose = (): void => finish(() => reject(new Error(`connection closed before an answer: ${text.slice(0, 200)}`)));
    socket.on('data', onData).once('error', onError).once('close', onClose);
  });
}
