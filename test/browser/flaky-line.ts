import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A line between browser and server that can be held, cut and taken down: TCP in, TCP out. */
export class FlakyLine {
  readonly port: number;
  readonly #server: Server;
  readonly #clients = new Map<Socket, Socket>();
  #sent = 0;
  #holdAfter = Number.POSITIVE_INFINITY;
  #down = false;
  #mute = false;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** `target` is asked for the port behind the line at each connection. */
  static async open(target: () => number): Promise<FlakyLine> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const line = new FlakyLine(server);
    server.on('connection', (client) => line.#join(client, target()));
    return line;
  }

  /** Forwards this many more bytes from the browser, then none until `release`. */
  holdAfter(bytes: number): void {
    this.#holdAfter = this.#sent + bytes;
  }

  release(): void {
    this.#holdAfter = Number.POSITIVE_INFINITY;
    for (const client of this.#clients.keys()) client.resume();
  }

  /** Breaks every connection, and each new one, until `up`. */
  down(): void {
    this.#down = true;
    for (const client of this.#clients.keys()) client.destroy();
  }

  up(): void {
    this.#down = false;
    this.#mute = false;
    this.release();
  }

  /** From now on requests arrive, but each connection breaks instead of bringing its answer. */
  loseAnswers(): void {
    this.#mute = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.down();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket, port: number): void {
    client.on('error', () => undefined);
    if (this.#down) return void client.destroy();
    const server = connect(port, '127.0.0.1');
    this.#clients.set(client, server);
    server.on('error', () => client.destroy());
    server.on('close', () => client.destroy());
    client.on('close', () => {
      this.#clients.delete(client);
      server.destroy();
    });
    server.on('data', (chunk) => (this.#mute ? client.destroy() : client.write(chunk)));
    client.on('data', (chunk) => {
      this.#sent += chunk.length;
      if (!server.write(chunk)) {
        client.pause();
        server.once('drain', () => this.#sent < this.#holdAfter && client.resume());
      }
      if (this.#sent >= this.#holdAfter) client.pause();
    });
  }
}
