import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { create as attachment } from 'content-disposition';
import type { Context } from 'koa';
import { z } from 'zod';
import type { Config } from '../../config.ts';
import type { Location, Upload } from '../../core/upload.ts';
import { WindlassError } from '../../errors.ts';
import type { Platform } from '../../platform.ts';
import type { ByteRange } from '../../ports/disk.ts';
import { findUpload } from '../../strategies/find-upload.ts';
import type { StoredContent } from '../../strategies/stored-content.ts';
import { digestField } from '../digest-fields.ts';
import { evaluatePreconditions, ifRangeHolds, parseRange, type Validator } from '../ranges.ts';
import { type Reply, type Route, route } from '../route.ts';
import { uploadParams } from '../schemas.ts';

export interface ContentRouteParts {
  platform: Pick<Platform, 'uploads' | 'presigner' | 'config' | 'clock' | 'log'>;
  content: StoredContent;
}

interface StoredUpload extends Upload {
  location: Location;
}

const contentQuery = z.strictObject({
  stream: z.enum(['1']).optional().meta({ description: '`1` streams the bytes where they would be redirected to.' }),
});

const BINARY = { '*/*': { schema: { type: 'string', format: 'binary' } } };

/** Reading the bytes of a stored upload (RFC 9110), wherever they are. */
export const contentRoutes = (parts: ContentRouteParts): Route[] => [
  route({
    method: 'get',
    path: '/v1/uploads/{id}/content',
    operationId: 'readContent',
    summary: 'Read the bytes of an upload',
    description: 'One range is served; several are answered with the whole. HEAD is answered from the record.',
    tag: 'uploads',
    scope: 'uploads:read',
    params: uploadParams,
    query: contentQuery,
    headers: {
      Range: 'One range of bytes.',
      'If-Range': 'ETag or date: the range is meant for this version only.',
      'If-None-Match': 'ETag of the content as you have it.',
      'If-Match': 'ETag of the content as you expect it.',
    },
    responses: {
      200: { description: 'The bytes.', content: BINARY, headers: { ETag: 'Strong; made of the SHA-256.', 'Repr-Digest': 'RFC 9530.' } },
      206: { description: 'The range.', content: BINARY, headers: { 'Content-Range': 'RFC 9110.' } },
      304: { description: 'It is what If-None-Match names.' },
      307: { description: 'The bytes are at the signed address.', headers: { Location: 'A signed link.' } },
    },
    errors: ['not_stored', 'precondition_failed', 'range_not_satisfiable', 'store_unavailable', 'node_unavailable'],
    async handle({ ctx, params: { id }, query, principal }) {
      const upload = requireStored(await findUpload(parts.platform.uploads, principal.tenant, id));
      return new ContentAnswer(parts, ctx, upload).send(query.stream === '1');
    },
  }),
];

function requireStored(upload: Upload): StoredUpload {
  const { state, location } = upload;
  if (state === 'stored' && location) return { ...upload, location };
  throw new WindlassError('not_stored', `The upload is ${state}.`, { expected: 'stored', actual: state });
}

/** The bytes of an upload never change, but it can be deleted, and its readers can change: by default nobody may rely on a copy. */
function cacheControl({ CONTENT_CACHE, CONTENT_MAX_AGE_SECONDS }: Pick<Config, 'CONTENT_CACHE' | 'CONTENT_MAX_AGE_SECONDS'>): string {
  return CONTENT_CACHE === 'revalidate' ? 'private, no-cache' : `${CONTENT_CACHE}, max-age=${CONTENT_MAX_AGE_SECONDS}, immutable`;
}

class ContentAnswer {
  readonly #platform: ContentRouteParts['platform'];
  readonly #content: StoredContent;
  readonly #ctx: Context;
  readonly #upload: StoredUpload;
  readonly #validator: Validator;

  constructor({ platform, content }: ContentRouteParts, ctx: Context, upload: StoredUpload) {
    this.#platform = platform;
    this.#content = content;
    this.#ctx = ctx;
    this.#upload = upload;
    this.#validator = { etag: `"${upload.sha256 ?? upload.id}"`, modifiedAt: upload.storedAt ?? upload.createdAt };
  }

  async send(streamed: boolean): Promise<Reply | undefined> {
    const ctx = this.#ctx;
    const outcome = evaluatePreconditions(ctx.headers, this.#validator);
    if (outcome === 'failed')
      throw new WindlassError('precondition_failed', 'The content is not what If-Match names.', { actual: this.#validator.etag });
    if (outcome === 'not_modified') return { status: 304, headers: this.#validators() };
    if (ctx.method === 'HEAD') return this.#describe();
    const range = this.#range();
    if (this.#upload.location.store === 's3' && !streamed && !this.#mustBeThisVersion()) return this.#redirect();
    await this.#stream(range);
    return undefined;
  }

  #describe(): undefined {
    this.#ctx.status = 200;
    this.#ctx.set(this.#headers());
    this.#ctx.set('Content-Length', String(this.#upload.size));
    return undefined;
  }

  /** The client asks for what has our ETag or date. It would ask the store for the same, which has others. */
  #mustBeThisVersion(): boolean {
    const { headers } = this.#ctx.req;
    if (headers['if-match'] !== undefined) return true;
    return headers['if-range'] !== undefined && ifRangeHolds(headers['if-range'], this.#validator);
  }

  async #redirect(): Promise<Reply> {
    const { presigner, config, clock } = this.#platform;
    const { filename, contentType, location } = this.#upload;
    const expiresAt = clock() + config.LINK_TTL_SECONDS * 1000;
    const { url } = await presigner.get({ key: location.key, filename, contentType, expiresAt });
    return { status: 307, headers: { Location: url } };
  }

  /** Null for the whole. */
  #range(): ByteRange | null {
    const { headers } = this.#ctx.req;
    const { size } = this.#upload;
    const wanted = ifRangeHolds(headers['if-range'], this.#validator) ? parseRange(headers.range, size) : { kind: 'whole' as const };
    if (wanted.kind === 'unsatisfiable') {
      this.#ctx.set('Content-Range', `bytes */${size}`);
      throw new WindlassError('range_not_satisfiable', `The content has ${size} bytes.`, { actual: headers.range });
    }
    return wanted.kind === 'part' ? wanted.range : null;
  }

  async #stream(range: ByteRange | null): Promise<void> {
    const ctx = this.#ctx;
    const { size } = this.#upload;
    const bytes = await this.#open(range);
    const length = range ? range.end - range.start + 1 : size;
    ctx.status = range ? 206 : 200;
    ctx.set(this.#headers());
    ctx.set('Content-Length', String(length));
    if (range) ctx.set('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
    ctx.respond = false;
    await this.#pipe(bytes, length);
  }

  /** Ends the answer only when all bytes went out: fewer must not look like a whole answer. */
  async #pipe(bytes: Readable, length: number): Promise<void> {
    const { res } = this.#ctx;
    let sent = 0;
    bytes.on('data', (chunk: Buffer) => {
      sent += chunk.length;
    });
    try {
      await pipeline(bytes, res, { end: false });
      if (sent !== length) throw this.#lost(`${sent} of ${length} bytes were there`);
      res.end();
    } catch (error) {
      if (res.destroyed) return;
      for (const name of ['Content-Range', 'Content-Length', 'Repr-Digest', 'Last-Modified']) if (!res.headersSent) this.#ctx.remove(name);
      throw error;
    }
  }

  async #open(range: ByteRange | null): Promise<Readable> {
    const bytes = await this.#content.open(this.#upload, range);
    if (!bytes) throw this.#lost('there are no bytes under its key');
    return bytes;
  }

  /** A broken promise of ours: never an empty or shortened 200. */
  #lost(what: string): WindlassError {
    const { id: uploadId, location, sha256 } = this.#upload;
    this.#platform.log.error({ uploadId, location, sha256, requestId: this.#ctx.state.requestId }, `stored upload is damaged: ${what}`);
    return new WindlassError('internal', 'The content cannot be read; the log of the server has the details under this request id.');
  }

  #validators(): Record<string, string> {
    const { etag, modifiedAt } = this.#validator;
    return { ETag: etag, 'Last-Modified': new Date(modifiedAt).toUTCString(), 'Cache-Control': cacheControl(this.#platform.config) };
  }

  /** Content of users is never run in a page of ours: no sniffing, no scripts, saved instead of shown. */
  #headers(): Record<string, string> {
    const { filename, contentType, sha256 } = this.#upload;
    return {
      ...this.#validators(),
      ...(sha256 ? { 'Repr-Digest': digestField(sha256) } : {}),
      'Content-Type': contentType,
      'Content-Disposition': attachment(filename),
      'Accept-Ranges': 'bytes',
      'X-Content-Type-Options': 'nosniff',
      'Content-Security-Policy': "default-src 'none'; sandbox",
    };
  }
}
