import { PassThrough } from 'node:stream';
import type { Context } from 'koa';
import { z } from 'zod';
import { isFinal, STATES, STRATEGIES, type Upload, type UploadView } from '../../core/upload.ts';
import { WindlassError } from '../../errors.ts';
import type { Platform } from '../../platform.ts';
import type { Deletion } from '../../strategies/deletion.ts';
import { findUpload } from '../../strategies/find-upload.ts';
import { waitUntilFinal, watchUpload } from '../../watch.ts';
import type { Addresses } from '../addresses.ts';
import { decodeCursor, encodeCursor, pageQuery } from '../cursor.ts';
import { presentUpload, recordTag } from '../presenter.ts';
import { evaluatePreconditions } from '../ranges.ts';
import { type Reply, type Route, route } from '../route.ts';
import { resourceId, resourceType, uploadParams, uploadSchema } from '../schemas.ts';

const MAX_WAIT_SECONDS = 300;
const HEARTBEAT_MS = 15_000;

export interface UploadRouteParts extends Pick<Platform, 'uploads' | 'events' | 'clock'>, Pick<Addresses, 'contentUrl'> {
  deletion: Deletion;
  /** Aborted when the process is being stopped: waits answer with what is, and streams end. */
  stopping: AbortSignal;
}

/** Reading, watching, listing and deleting uploads of every strategy. */
export function uploadRoutes(parts: UploadRouteParts): Route[] {
  return [listUploads(parts), getUpload(parts), uploadEvents(parts), deleteUpload(parts)];
}

const listQuery = z.strictObject({
  ...pageQuery,
  state: z.enum(STATES).optional().meta({ description: 'Deleted uploads are listed only when asked for.' }),
  strategy: z.enum(STRATEGIES).optional(),
  resourceType: resourceType.optional(),
  resourceId: resourceId.optional(),
});

const listUploads = ({ uploads, contentUrl }: UploadRouteParts): Route =>
  route({
    method: 'get',
    path: '/v1/uploads',
    operationId: 'listUploads',
    summary: 'List uploads, newest first',
    tag: 'uploads',
    scope: 'uploads:read',
    query: listQuery,
    responses: {
      200: { description: 'A page of uploads.', schema: z.object({ items: z.array(uploadSchema), nextCursor: z.string().nullable() }) },
    },
    errors: [],
    async handle({ query: { limit = 50, cursor, ...filter }, principal }) {
      const before = cursor === undefined ? undefined : decodeCursor(cursor);
      const found = await uploads.list({ ...filter, tenant: principal.tenant, before, limit: limit + 1 });
      const items = found.slice(0, limit);
      const last = items.at(-1);
      return {
        status: 200,
        body: {
          items: items.map((upload) => presentUpload(upload, contentUrl)),
          nextCursor: found.length > limit && last ? encodeCursor(last.id) : null,
        },
      };
    },
  });

const getUpload = (parts: UploadRouteParts): Route =>
  route({
    method: 'get',
    path: '/v1/uploads/{id}',
    operationId: 'getUpload',
    summary: 'Read an upload, or wait until it is done',
    tag: 'uploads',
    scope: 'uploads:read',
    params: uploadParams,
    headers: {
      Prefer: `\`wait=N\` waits up to N seconds (at most ${MAX_WAIT_SECONDS}) until the state is final (RFC 7240).`,
      'If-None-Match': 'ETag of the record as you know it.',
    },
    responses: {
      200: { description: 'The upload.', schema: uploadSchema, headers: { ETag: 'Version of the record.' } },
      304: { description: 'It is still the version named by If-None-Match.' },
    },
    errors: ['precondition_failed'],
    async handle({ ctx, params: { id }, principal }) {
      let upload: UploadView = await findUpload(parts.uploads, principal.tenant, id);
      const seconds = waitOf(ctx);
      if (seconds !== null) {
        upload = await waited(ctx, parts, upload, seconds);
        ctx.set('Preference-Applied', `wait=${seconds}`);
      }
      if (upload.state === 'deleted') await findUpload(parts.uploads, principal.tenant, id);
      return fresh(ctx, upload, parts.contentUrl);
    },
  });

function fresh(ctx: Context, upload: UploadView, contentUrl: string): Reply {
  const etag = recordTag(upload);
  ctx.set('ETag', etag);
  const verdict = evaluatePreconditions(ctx.headers, { etag, modifiedAt: upload.updatedAt });
  if (verdict === 'failed') throw new WindlassError('precondition_failed', 'The upload is no longer the version that If-Match names.');
  if (verdict === 'not_modified') return { status: 304 };
  return { status: 200, body: presentUpload(upload, contentUrl), headers: { 'Cache-Control': 'private, no-cache' } };
}

/** Seconds of `Prefer: wait=N` (RFC 7240), null without it. */
function waitOf(ctx: Context): number | null {
  const match = /(?:^|[,\s])wait\s*=\s*"?(\d{1,6})"?/i.exec(ctx.get('Prefer'));
  return match ? Math.min(Number(match[1]), MAX_WAIT_SECONDS) : null;
}

async function waited(ctx: Context, parts: UploadRouteParts, upload: UploadView, seconds: number): Promise<UploadView> {
  const gone = new AbortController();
  ctx.res.once('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, parts.stopping]);
  return (await waitUntilFinal(parts, upload.id, { ms: seconds * 1000, signal })) ?? upload;
}

const uploadEvents = (parts: UploadRouteParts): Route =>
  route({
    method: 'get',
    path: '/v1/uploads/{id}/events',
    operationId: 'watchUpload',
    summary: 'Follow an upload by server-sent events',
    description:
      'The current state first, then each change; the stream ends when the state is final. A client that reconnects with the last id it has seen gets what is newer, and 204 when nothing can follow.',
    tag: 'uploads',
    scope: 'uploads:read',
    params: uploadParams,
    headers: { 'Last-Event-ID': 'Version of the record that was seen last.' },
    responses: {
      200: {
        description: 'Events: `id` is the version of the record, `data` the upload.',
        content: { 'text/event-stream': {} },
      },
      204: { description: 'The state is final and known to the client.' },
    },
    errors: [],
    async handle({ ctx, params: { id }, principal }) {
      const upload = await findUpload(parts.uploads, principal.tenant, id);
      const seen = /^\d{1,15}$/.test(ctx.get('Last-Event-ID')) ? Number(ctx.get('Last-Event-ID')) : 0;
      if (isOver(upload, seen)) return { status: 204 };
      stream(ctx, parts, upload, seen);
      return undefined;
    },
  });

const isOver = ({ state, version }: Upload, seen: number): boolean => isFinal(state) && seen >= version;

/** Writes events until the state is final, the client goes or the process stops; comments keep proxies from closing the stream. */
function stream(ctx: Context, parts: UploadRouteParts, upload: Upload, seen: number): void {
  const body = new PassThrough();
  const gone = new AbortController();
  body.once('close', () => gone.abort());
  ctx.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' });
  ctx.status = 200;
  ctx.body = body;
  ctx.flushHeaders();
  const heartbeat = setInterval(() => body.write(': still here\n\n'), HEARTBEAT_MS);
  const signal = AbortSignal.any([gone.signal, parts.stopping]);
  const run = async (): Promise<void> => {
    body.write('retry: 2000\n\n');
    for await (const change of watchUpload(parts, upload.id, { afterVersion: seen, signal }))
      body.write(`id: ${change.version}\ndata: ${JSON.stringify(presentUpload(change, parts.contentUrl))}\n\n`);
  };
  run()
    .catch((error: unknown) => ctx.app.emit('error', error, ctx))
    .finally(() => {
      clearInterval(heartbeat);
      body.end();
    });
}

const deleteUpload = ({ uploads, deletion }: UploadRouteParts): Route =>
  route({
    method: 'delete',
    path: '/v1/uploads/{id}',
    operationId: 'deleteUpload',
    summary: 'Delete an upload: its bytes, and whatever is under way',
    tag: 'uploads',
    scope: 'uploads:write',
    params: uploadParams,
    responses: { 204: { description: 'It is gone.' } },
    errors: [],
    async handle({ params: { id }, principal }) {
      const upload = await findUpload(uploads, principal.tenant, id);
      await deletion.delete(upload.id);
      return { status: 204 };
    },
  });
