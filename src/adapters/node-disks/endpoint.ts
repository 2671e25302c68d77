import type { Readable } from 'node:stream';
import type { Context, Middleware } from 'koa';
import { parseKey } from '../../core/keys.ts';
import { WindlassError } from '../../errors.ts';
import type { ByteRange, Disk } from '../../ports/disk.ts';
import { isDiskKey } from '../disk/disk-key.ts';
import { receiveFile } from './receive.ts';
import { isSigned } from './signature.ts';

export interface InternalEndpointParts {
  /** Name of this server. */
  node: string;
  spool: Disk;
  direct: Disk;
  /** Shared by all servers and workers. */
  secret: string;
  /** Epoch ms. */
  clock: () => number;
  /** How many files it takes at the same time; one more is `busy`. */
  maxReceiving: number;
  /** Begins to read the body of a request: whoever waits for that with `Expect: 100-continue` is told to send it. */
  openBody: (ctx: Context) => Readable;
}

const PATH = /^\/internal\/(spool|direct)\/(.+)$/;
const RANGE = /^bytes=(\d{1,15})-(\d{1,15})$/;

/** Answers other servers and workers for what lies on this server's disk: HEAD, GET with one range, DELETE, and PUT of direct files. */
export function internalEndpoint({ node, secret, clock, openBody, maxReceiving, ...disks }: InternalEndpointParts): Middleware {
  let receiving = 0;
  return async (ctx) => {
    const { method, path } = ctx;
    if (!isSigned(secret, { node, method, path }, ctx.get('Authorization'), clock()))
      throw new WindlassError('unauthorized', 'The request is not signed for this server with its INTERNAL_SECRET.');
    const [, area, key] = PATH.exec(path) ?? [];
    if (!key || !isDiskKey(key)) throw noSuchFile();
    if (method === 'PUT' && area === 'direct') {
      if (parseKey(key)?.area !== 'files') throw noSuchFile();
      if (receiving >= maxReceiving) throw new WindlassError('busy', 'This server receives as many files as it can.', { retryAfter: 1 });
      receiving += 1;
      try {
        const [expectedSize, authorization] = [expectedSizeOf(ctx), ctx.get('Authorization')];
        await receiveFile(disks.direct, { key, expectedSize, open: () => openBody(ctx), secret, authorization });
        ctx.status = 201;
      } finally {
        receiving -= 1;
      }
    } else await serve(ctx, area === 'spool' ? disks.spool : disks.direct, key);
  };
}

async function serve(ctx: Context, disk: Disk, key: string): Promise<void> {
  if (ctx.method === 'DELETE') {
    ctx.status = (await disk.remove(key)) ? 204 : 404;
    return;
  }
  if (ctx.method !== 'GET' && ctx.method !== 'HEAD')
    throw new WindlassError('method_not_allowed', `${ctx.method} is not possible here.`, { allow: ['GET', 'HEAD', 'DELETE'] });
  const entry = await disk.stat(key);
  if (!entry) throw noSuchFile();
  ctx.set('X-Modified-At', String(entry.modifiedAt));
  ctx.type = 'application/octet-stream';
  ctx.length = entry.size;
  ctx.status = 200;
  if (ctx.method === 'HEAD') return;
  const range = rangeOf(ctx, entry.size);
  const bytes = await disk.read(key, range ?? undefined);
  if (!bytes) throw noSuchFile();
  if (range) {
    ctx.status = 206;
    ctx.set('Content-Range', `bytes ${range.start}-${range.end}/${entry.size}`);
  }
  ctx.body = bytes;
  ctx.length = range ? range.end - range.start + 1 : entry.size;
}

function expectedSizeOf(ctx: Context): number | null {
  const text = ctx.get('X-Expected-Size');
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** Null for the whole file. Both ends are given; the range stops at the end of the file. */
function rangeOf(ctx: Context, size: number): ByteRange | null {
  const header = ctx.get('Range');
  if (header === '') return null;
  const [, start, end] = RANGE.exec(header) ?? [];
  const range = { start: Number(start), end: Number(end) };
  if (!(range.start <= range.end && range.start < size)) throw new WindlassError('range_not_satisfiable', `The file has ${size} bytes.`);
  return { start: range.start, end: Math.min(range.end, size - 1) };
}

const noSuchFile = (): WindlassError => new WindlassError('not_found', 'There is no such file on this server.');
