import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * The open connections of a server. Node's own `close` ends those that are idle at that moment, but neither those that
 * become idle later (after a download or a wait that had begun before) nor those on which nothing was asked yet, as
 * browsers open them in advance: they would hold up the end of the process.
 */
export class Connections {
  /** How many requests are under way on each. */
  readonly #open = new Map<Socket, number>();
  #closing = false;

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      this.#open.set(socket, 0);
      socket.once('close', () => this.#open.delete(socket));
    });
    server.on('request', (request, response) => this.#begin(request, response));
    server.on('checkContinue', (request, response) => this.#begin(request, response));
  }

  /** From now on a connection ends with its last answer; one on which nothing is asked is given `silentMs`. */
  close(silentMs: number): void {
    this.#closing = true;
    const timer = setTimeout(() => {
      for (const [socket, underWay] of this.#open) if (underWay === 0) socket.destroySoon();
    }, silentMs);
    timer.unref();
  }

  #begin({ socket }: IncomingMessage, response: ServerResponse): void {
    this.#count(socket, 1);
    response.once('close', () => this.#count(socket, -1));
  }

  #count(socket: Socket, change: 1 | -1): void {
    const underWay = this.#open.get(socket);
    if (underWay === undefined) return;
    this.#open.set(socket, underWay + change);
    if (this.#closing && underWay + change === 0) socket.destroySoon();
  }
}
