import type { Middleware } from 'koa';
import { WindlassError } from '../errors.ts';

const RETRY_AFTER_SECONDS = 1;

/**
 * Lets requests of clients in, until it is closed, and knows when the last of them has been answered. Those of other
 * servers and of workers do not pass by here: they are answered to the end.
 */
export class Admission {
  #underWay = 0;
  #closed = false;
  #waiting: (() => void)[] = [];

  /** Throws `draining` once it is closed. */
  readonly middleware: Middleware = (ctx, next) => {
    if (this.#closed) throw new WindlassError('draining', 'This server is being stopped.', { retryAfter: RETRY_AFTER_SECONDS });
    this.#underWay += 1;
    ctx.res.once('close', () => this.#ended());
    return next();
  };

  /** Lets nobody in from now on; resolves when those who are in have been answered. */
  close(): Promise<void> {
    this.#closed = true;
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #ended(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
