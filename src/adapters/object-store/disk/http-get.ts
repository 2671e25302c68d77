import { create as contentDisposition } from 'content-disposition';
import type { Context } from 'koa';
import parseRange from 'range-parser';
import { WindlassError } from '../../../errors.ts';
import type { ByteRange } from '../../../ports/disk.ts';
import type { GetTerms } from '../../../ports/presigner.ts';
import { contentDigest } from './links.ts';
import type { DiskObjectStore } from './store.ts';

/** Answers GET and HEAD of a signed link, with Range, If-Range and If-None-Match (RFC 9110). */
export async function sendObject(ctx: Context, terms: GetTerms, store: Pick<DiskObjectStore, 'open'>): Promise<void> {
  const object = await store.open(terms.key);
  if (!object) throw new WindlassError('not_found', 'There is no such object.');
  const { info, file } = object;
  let streaming = false;
  try {
    describe(ctx, terms, `"${info.etag}"`);
    ctx.status = 200;
    if (names(ctx.get('If-None-Match'), `"${info.etag}"`)) {
      ctx.status = 304;
      return;
    }
    if (info.sha256) ctx.set('Repr-Digest', contentDigest(info.sha256));
    const range = rangeOf(ctx, info.size, `"${info.etag}"`);
    if (range) {
      ctx.status = 206;
      ctx.set('Content-Range', `bytes ${range.start}-${range.end}/${info.size}`);
    }
    if (ctx.method === 'GET') {
      ctx.body = file.stream(range ?? undefined);
      streaming = true;
    }
    ctx.length = range ? range.end - range.start + 1 : info.size;
  } finally {
    if (!streaming) await file.close();
  }
}

/** Uploaded bytes are anybody's: a browser saves them, and neither guesses their type nor runs them as a page of this origin. */
function describe(ctx: Context, { filename, contentType }: GetTerms, etag: string): void {
  ctx.set({
    ETag: etag,
    'Content-Type': contentType,
    'Content-Disposition': contentDisposition(filename, { type: 'attachment' }),
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': 'sandbox',
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private',
  });
}

/** Whether an If-None-Match names this ETag (weak comparison). Not Koa's `fresh`, which `Cache-Control: no-cache` turns off. */
const names = (header: string, etag: string): boolean =>
  header.trim() === '*' || header.split(',').some((one) => one.trim().replace(/^W\//, '') === etag);

/** The one range that is asked for; null for the whole. More than one, or one that cannot be read, is answered with the whole. */
function rangeOf(ctx: Context, size: number, etag: string): ByteRange | null {
  const asked = ctx.get('Range');
  const condition = ctx.get('If-Range');
  if (!asked.startsWith('bytes=') || (condition !== '' && condition !== etag)) return null;
  const ranges = parseRange(size, asked);
  if (ranges === -1) {
    ctx.set('Content-Range', `bytes */${size}`);
    throw new WindlassError('range_not_satisfiable', `The object has ${size} bytes.`);
  }
  if (ranges === -2 || ranges.length !== 1) return null;
  return ranges[0] ?? null;
}
