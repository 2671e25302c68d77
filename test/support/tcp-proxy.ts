import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Lies between a client and its server, and does to connections what networks do. */
export class TcpProxy {
  readonly #server: Server;
  readonly #url: URL;
  readonly #sockets = new Set<Socket>();
  #port: number;
  #held = false;
  #refusing = false;

  private constructor(server: Server, url: URL) {
    this.#server = server;
    this.#url = url;
    this.#port = Number(url.port);
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async open(serverUrl: string): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, 'localhost');
    await once(server, 'listening');
    return new TcpProxy(server, new URL(serverUrl));
  }

  /** The server's address, by way of this proxy. */
  get url(): string {
    const url = new URL(this.#url);
    url.host = `localhost:${(this.#server.address() as AddressInfo).port}`;
    return url.href;
  }

  /** The server has come up again under another port. */
  forwardTo(serverUrl: string): void {
    this.#port = Number(new URL(serverUrl).port);
  }

  /** Breaks every connection that there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Breaks every connection, and takes no new ones until `mend`. */
  sever(): void {
    this.#refusing = true;
    this.cut();
  }

  /** Keeps the connections, but lets nothing through until `mend`. */
  hold(): void {
    this.#held = true;
    for (const socket of this.#sockets) socket.pause();
  }

  mend(): void {
    this.#refusing = false;
    this.#held = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, 'close');
  }

  #accept(near: Socket): void {
    if (this.#refusing) return void near.destroy();
    const far = connect(this.#port, this.#url.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#held) from.pause();
    }
  }
}
