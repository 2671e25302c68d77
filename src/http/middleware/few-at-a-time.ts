import type { Middleware } from 'koa';

/** Requests that are begun in one turn of the event loop. */
const PER_TURN = 4;

/**
 * Begins few requests in each turn of the event loop, in the order in which they came; the rest wait. What has begun gets
 * on by that: a busy server has few requests half done, and what they allocate dies young. The turns of a server that
 * waits for clients, disks or stores are short, so nobody waits for those (docs/decisions/0032-few-requests-a-turn.md).
 */
export function fewAtATime(): Middleware {
  const waiting: (() => void)[] = [];
  let begun = 0;
  const turn = (): void => {
    begun = Math.min(PER_TURN, waiting.length);
    if (begun > 0) setImmediate(turn);
    for (const begin of waiting.splice(0, begun)) begin();
  };
  return async (ctx, next) => {
    if (begun === PER_TURN) await new Promise<void>((resolve) => waiting.push(resolve));
    else {
      if (begun === 0) setImmediate(turn);
      begun += 1;
    }
    // Nobody is there to read the answer, and what listens for the end from here on would wait for ever.
    if (!ctx.res.closed) await next();
  };
}
