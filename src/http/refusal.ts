import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context } from 'koa';

/** What is still read of a refused body, so that the client comes to reading the answer. */
const DRAIN_BYTES = 64 * 1024 * 1024;
const DRAIN_MS = 5000;
/** How long a client that neither reads nor closes may keep the connection after that. */
const LINGER_MS = 5000;

export interface DrainLimits {
  bytes: number;
  ms: number;
  lingerMs: number;
}

const LIMITS: DrainLimits = { bytes: DRAIN_BYTES, ms: DRAIN_MS, lingerMs: LINGER_MS };

/**
 * Sends an answer while the request's body may still be arriving (RFC 9112, section 9.6). Closing a connection with
 * unread bytes resets it, and the client may lose the answer: so the whole answer goes out at once, then what is left of
 * the body is read and thrown away, within limits, and then the connection is closed. A body that has arrived whole
 * leaves the connection open for the next request; one that was never asked for (`Expect: 100-continue`) is not read.
 */
export async function respondAndDrain(
  ctx: Context,
  status: number,
  headers: Record<string, string>,
  body: string,
  limits: DrainLimits = LIMITS,
): Promise<void> {
  const { req, res } = ctx;
  if (res.destroyed || res.headersSent || req.socket.destroyed) {
    ctx.respond = false;
    res.destroy();
    return;
  }
  // A small body often comes in the same packet, or right behind: then it is whole in a moment.
  if (!req.complete && announcesBody(req)) await new Promise(setImmediate);
  ctx.status = status;
  ctx.set(headers);
  if (req.complete || !announcesBody(req)) {
    ctx.respond = true;
    ctx.body = body;
    return;
  }
  ctx.respond = false;
  ctx.set({ Connection: 'close', 'Content-Length': String(Buffer.byteLength(body)) });
  if (req.headers.expect !== undefined && !hasContinued(res)) {
    onlyEndOurSide(req);
    res.end(body);
  } else {
    res.write(body);
    await drained(req, res, limits);
    onlyEndOurSide(req);
    res.end();
  }
  lingerThenDestroy(req, limits.lingerMs);
}

const announcesBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

const continued = new WeakSet<ServerResponse>();

/** Asks the client for the body that it announced with `Expect: 100-continue`, once; does nothing without that header. */
export function sendContinue({ req, res }: Pick<Context, 'req' | 'res'>): void {
  if (req.headers.expect === undefined || continued.has(res) || res.headersSent) return;
  continued.add(res);
  res.writeContinue();
}

const hasContinued = (res: ServerResponse): boolean => continued.has(res);

/** Reads on until the body ends, the client goes away, or a limit is reached. */
function drained(req: IncomingMessage, res: ServerResponse, { bytes, ms }: DrainLimits): Promise<void> {
  return new Promise((resolve) => {
    let left = bytes;
    const timer = setTimeout(finish, ms);
    function finish(): void {
      clearTimeout(timer);
      req.off('data', count).off('end', finish).off('close', finish);
      res.off('close', finish);
      req.pause();
      resolve();
    }
    function count(chunk: Buffer): void {
      left -= chunk.length;
      if (left <= 0) finish();
    }
    req.on('error', () => undefined);
    req.on('data', count).on('end', finish).on('close', finish).resume();
    res.on('close', finish);
  });
}

/** Node destroys a connection after its last answer, and with bytes unread that is a reset; so it is half-closed, and destroyed later. */
function onlyEndOurSide({ socket, complete }: IncomingMessage): void {
  if (!complete) socket.destroySoon = () => void socket.end();
}

function lingerThenDestroy({ socket }: IncomingMessage, ms: number): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), ms);
  socket.once('close', () => clearTimeout(timer));
}
