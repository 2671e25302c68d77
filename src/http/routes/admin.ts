import { z } from 'zod';
import type { Upload } from '../../core/upload.ts';
import type { Platform } from '../../platform.ts';
import { findUpload } from '../../strategies/find-upload.ts';
import type { Redrive } from '../../strategies/redrive.ts';
import type { Addresses } from '../addresses.ts';
import { decodeCursor, encodeCursor, pageQuery } from '../cursor.ts';
import { presentUpload } from '../presenter.ts';
import { type Route, route } from '../route.ts';
import { uploadParams, uploadSchema } from '../schemas.ts';

export interface AdminRouteParts extends Pick<Platform, 'uploads' | 'queue'>, Addresses {
  redrive: Redrive;
}

/** What failed for good, another try for it, and how much waits (scope `admin`). */
export function adminRoutes(parts: AdminRouteParts): Route[] {
  return [listDeadLetters(parts), redriveUpload(parts), readQueue(parts)];
}

const deadLetter = z
  .object({
    upload: uploadSchema,
    reason: z.string().meta({ description: 'Code of the error that ended it.' }),
    attempts: z.int(),
    failedAt: z.iso.datetime(),
  })
  .meta({ id: 'DeadLetter' });

const presentDeadLetter = (upload: Upload, contentUrl: string): z.infer<typeof deadLetter> => ({
  upload: presentUpload(upload, contentUrl),
  reason: upload.error?.code ?? 'internal',
  attempts: upload.attempts,
  failedAt: new Date(upload.history.findLast(({ state }) => state === 'failed')?.at ?? upload.updatedAt).toISOString(),
});

const listDeadLetters = ({ uploads, contentUrl }: AdminRouteParts): Route =>
  route({
    method: 'get',
    path: '/v1/admin/dead-letters',
    operationId: 'listDeadLetters',
    summary: 'List relayed uploads that failed for good, newest first',
    tag: 'admin',
    scope: 'admin',
    query: z.strictObject(pageQuery),
    responses: {
      200: {
        description: 'A page of failed uploads.',
        schema: z.object({ items: z.array(deadLetter), nextCursor: z.string().nullable() }),
      },
    },
    errors: [],
    async handle({ query: { limit = 50, cursor }, principal }) {
      const before = cursor === undefined ? undefined : decodeCursor(cursor);
      const found = await uploads.list({ tenant: principal.tenant, state: 'failed', strategy: 'relay', before, limit: limit + 1 });
      const items = found.slice(0, limit);
      const last = items.at(-1);
      return {
        status: 200,
        body: {
          items: items.map((upload) => presentDeadLetter(upload, contentUrl)),
          nextCursor: found.length > limit && last ? encodeCursor(last.id) : null,
        },
      };
    },
  });

const redriveUpload = ({ uploads, redrive, publicUrl, contentUrl }: AdminRouteParts): Route =>
  route({
    method: 'post',
    path: '/v1/admin/uploads/{id}/redrive',
    operationId: 'redriveUpload',
    summary: 'Try a failed relay again',
    tag: 'admin',
    scope: 'admin',
    params: uploadParams,
    responses: {
      202: { description: 'The upload, queued again.', schema: uploadSchema, headers: { Location: 'Where to follow it.' } },
    },
    errors: ['not_redrivable'],
    async handle({ params: { id }, principal }) {
      await findUpload(uploads, principal.tenant, id);
      const upload = await redrive.redrive(id);
      return {
        status: 202,
        body: presentUpload(upload, contentUrl),
        headers: { Location: `${publicUrl}/v1/uploads/${id}`, 'Retry-After': '1' },
      };
    },
  });

const isoOrNull = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

const readQueue = ({ uploads, queue }: AdminRouteParts): Route =>
  route({
    method: 'get',
    path: '/v1/admin/queue',
    operationId: 'readQueue',
    summary: 'Read how much work waits, of all tenants',
    tag: 'admin',
    scope: 'admin',
    responses: {
      200: {
        description: 'Numbers of jobs and of messages not yet published.',
        schema: z.object({
          ready: z.int().meta({ description: 'Jobs that wait for a worker.' }),
          delayed: z.int().meta({ description: 'Jobs that pause before their next try.' }),
          leased: z.int().nullable().meta({ description: 'Jobs being carried out; null where the queue does not tell.' }),
          dead: z.int().meta({ description: 'Jobs that were given up.' }),
          outboxMessages: z.int().meta({ description: 'Messages written but not yet published.' }),
          outboxOldestAt: z.iso.datetime().nullable(),
          queuedOldestAt: z.iso.datetime().nullable().meta({ description: 'When the upload that has waited longest was accepted.' }),
        }),
      },
    },
    errors: ['queue_unavailable'],
    async handle() {
      const [depth, backlog] = await Promise.all([queue.depth(), uploads.backlog()]);
      const { outboxMessages, outboxOldestAt, queuedOldestAt } = backlog;
      return {
        status: 200,
        body: { ...depth, outboxMessages, outboxOldestAt: isoOrNull(outboxOldestAt), queuedOldestAt: isoOrNull(queuedOldestAt) },
      };
    },
  });
