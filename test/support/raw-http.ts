import { connect, type Socket } from 'node:net';
import { AUTHORIZATION, ELSEWHERE } from './server-elsewhere.ts';

export interface RawAnswer {
  status: number;
  /** Lower-case names. */
  headers: Map<string, string>;
  body: string;
}

/** A TCP connection for what no HTTP client would send. */
export class RawConnection {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  #received = Buffer.alloc(0);
  #over = false;
  #wake: (() => void)[] = [];

  constructor(port: number) {
    this.socket = connect({ port, host: ELSEWHERE?.hostname ?? '127.0.0.1', allowHalfOpen: true });
    this.socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#notify();
    });
    // A reset is one of the ways in which a server may end a connection; what was read before it counts.
    this.socket.on('error', () => this.#end());
    this.socket.on('end', () => this.#end());
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  /** Resolves when the bytes are handed to the system, or the connection is gone. */
  write(bytes: string | Uint8Array): Promise<void> {
    if (this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => this.socket.write(bytes, () => resolve()));
  }

  /** Everything received so far. */
  get text(): string {
    return this.#received.toString('latin1');
  }

  get over(): boolean {
    return this.#over;
  }

  /** Waits until what was received satisfies `test`; throws when the connection ends before. */
  async until(test: (text: string) => boolean): Promise<string> {
    for (;;) {
      if (test(this.text)) return this.text;
      if (this.#over) throw new Error(`the connection ended; received ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** Waits until the server has ended its side. */
  async ended(): Promise<string> {
    while (!this.#over) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.text;
  }

  /** The first whole final answer (1xx are passed over); bodies with a Content-Length only. */
  async answer(): Promise<RawAnswer> {
    let answer: RawAnswer | null = null;
    await this.until((text) => {
      answer = parseAnswer(text);
      return answer !== null;
    });
    if (!answer) throw new Error('no answer');
    return answer;
  }

  close(): void {
    this.socket.destroy();
  }

  #end(): void {
    this.#over = true;
    this.#notify();
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

function parseAnswer(text: string): RawAnswer | null {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const status = Number(statusLine.split(' ')[1]);
  const rest = text.slice(end + 4);
  if (status < 200) return parseAnswer(rest);
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  const length = Number(headers.get('content-length') ?? 0);
  return rest.length < length ? null : { status, headers, body: rest.slice(0, length) };
}

/** Sends a request as it stands and waits for the answer. */
export async function sendRaw(port: number, request: string | Uint8Array): Promise<RawAnswer> {
  const connection = new RawConnection(port);
  try {
    await connection.write(request);
    return await connection.answer();
  } finally {
    connection.close();
  }
}

/** The head of a request with the empty line that ends it. */
export const head = (port: number, method: string, path: string, headers: Record<string, string | number> = {}): string =>
  [
    `${method} ${path} HTTP/1.1`,
    `Host: localhost:${port}`,
    ...Object.entries({ ...AUTHORIZATION, ...headers }).map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ].join('\r\n');
