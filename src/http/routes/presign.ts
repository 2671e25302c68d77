import { z } from 'zod';
import type { Upload } from '../../core/upload.ts';
import type { Platform } from '../../platform.ts';
import type { Completion } from '../../strategies/completion.ts';
import { findUpload } from '../../strategies/find-upload.ts';
import type { Grant, Link, Presign } from '../../strategies/presign.ts';
import type { Addresses } from '../addresses.ts';
import { fingerprintOf, parseIdempotencyKey, runOnce, sameRequest } from '../idempotency.ts';
import { presentUpload } from '../presenter.ts';
import { type Call, type Reply, type Route, route } from '../route.ts';
import { contentType, filename, metadata, resourceRef, sha256Hex, uploadParams, uploadSchema } from '../schemas.ts';

export interface PresignRouteParts extends Pick<Platform, 'uploads' | 'idempotency' | 'config' | 'clock' | 'newId'>, Addresses {
  presign: Presign;
  completion: Completion;
}

/** Strategy 3: signed links, so that clients send the bytes straight to the object store, and the report that they have. */
export function presignRoutes(parts: PresignRouteParts): Route[] {
  return [presignUpload(parts), signLink(parts), signParts(parts), listParts(parts), completeUpload(parts)];
}

const MAX_PARTS_AT_ONCE = 1000;
const MAX_PARTS = 10_000;
/** How soon asking again makes sense while a completion goes on by itself. */
const RETRY_AFTER_SECONDS = 2;

const timestamp = z.iso.datetime();
const signedHeaders = z.record(z.string(), z.string()).meta({ description: 'To be sent exactly like this.' });
const linkSchema = z
  .object({
    method: z.enum(['PUT', 'POST']),
    url: z.string(),
    headers: signedHeaders,
    fields: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: 'Fields of the form, before the field `file`; only for POST.' }),
    expiresAt: timestamp,
  })
  .meta({ id: 'SignedRequest' });
const multipartSchema = z
  .object({ partSize: z.int().meta({ description: 'Bytes of each part but the last.' }), partCount: z.int(), expiresAt: timestamp })
  .meta({ id: 'MultipartPlan' });
const partNumber = z.int().min(1).max(MAX_PARTS);
const etag = z.string().min(1).max(256);

const presignBody = z.strictObject({
  filename,
  contentType,
  size: z
    .int()
    .min(0)
    .meta({ description: 'Bytes, exactly.', examples: [48211] }),
  sha256: sha256Hex.optional(),
  resource: resourceRef.optional().meta({ description: 'What the upload belongs to once it is complete.' }),
  metadata: metadata.optional(),
  method: z.enum(['PUT', 'POST']).optional().meta({ description: 'POST signs a form. Default: PUT.' }),
});
type PresignBody = z.output<typeof presignBody>;

const presignUpload = (parts: PresignRouteParts): Route =>
  route({
    method: 'post',
    path: '/v1/uploads/presign',
    operationId: 'presignUpload',
    summary: 'Announce an upload and get a signed link for it',
    description:
      'The answer says how to send the bytes straight to the object store: by one `request`, or as a `multipart` upload whose parts are signed when they are needed. With an `Idempotency-Key` that was used before, links are signed afresh; neither is there when the upload is no longer pending.',
    tag: 'uploads',
    scope: 'uploads:write',
    headers: { 'Idempotency-Key': 'Makes repeating the request safe for 24 hours.' },
    body: presignBody,
    responses: {
      201: {
        description: 'The pending upload, and how to send its bytes.',
        schema: z.object({ upload: uploadSchema, request: linkSchema.optional(), multipart: multipartSchema.optional() }),
        headers: { Location: 'Address of the upload.' },
      },
    },
    errors: ['idempotency_key_reused', 'idempotency_in_progress', 'store_unavailable'],
    async handle(call) {
      const { principal, ctx } = call;
      const key = parseIdempotencyKey(ctx.get('Idempotency-Key') || undefined);
      const fingerprint = key === null ? null : fingerprintOf({ tenant: principal.tenant, route: 'presign', ...call.body });
      const upload = await runOnce(parts, { tenant: principal.tenant, key, newId: parts.newId }, async (id, replay, signal) => {
        if (replay) return sameRequest(replay, fingerprint ?? '');
        signal.throwIfAborted();
        return parts.presign.create({ ...orderOf(call), id, fingerprint });
      });
      const grant = await parts.presign.grant(upload);
      return {
        status: 201,
        headers: { Location: `${parts.publicUrl}/v1/uploads/${upload.id}` },
        body: { upload: presentUpload(upload, parts.contentUrl), ...(grant ? presentGrant(grant) : {}) },
      };
    },
  });

function orderOf({ body, principal: { tenant }, requestId, traceparent }: Call<unknown, unknown, PresignBody>) {
  const { filename, contentType, size, sha256 = null, resource = null, metadata = {}, method = 'PUT' } = body;
  return { tenant, trace: { requestId, traceparent }, filename, contentType, size, sha256, resource, metadata, method } as const;
}

const expiring = <T extends { expiresAt: number }>(thing: T) => ({ ...thing, expiresAt: new Date(thing.expiresAt).toISOString() });

const presentGrant = (grant: Grant) =>
  'request' in grant ? { request: presentLink(grant.request) } : { multipart: expiring(grant.multipart) };

const presentLink = ({ method, url, headers, fields, expiresAt }: Link) =>
  expiring({ method, url, headers, ...(fields ? { fields } : {}), expiresAt });

const signLink = ({ uploads, presign }: PresignRouteParts): Route =>
  route({
    method: 'post',
    path: '/v1/uploads/{id}/link',
    operationId: 'signLink',
    summary: 'Get a fresh link for a pending upload',
    tag: 'uploads',
    scope: 'uploads:write',
    params: uploadParams,
    responses: { 200: { description: 'A new link; older ones work until they run out.', schema: z.object({ request: linkSchema }) } },
    errors: ['invalid_state', 'expired'],
    async handle({ params: { id }, principal }) {
      const upload = await findUpload(uploads, principal.tenant, id);
      return { status: 200, body: { request: presentLink(await presign.link(upload)) } };
    },
  });

const partsBody = z.strictObject({
  partNumbers: z
    .array(partNumber)
    .min(1)
    .max(MAX_PARTS_AT_ONCE)
    .refine((numbers) => new Set(numbers).size === numbers.length, { message: 'must not name a part twice' })
    .meta({ examples: [[1, 2]], override: { uniqueItems: true } }),
});

const signParts = ({ uploads, presign }: PresignRouteParts): Route =>
  route({
    method: 'post',
    path: '/v1/uploads/{id}/parts',
    operationId: 'signParts',
    summary: 'Get links for parts of a multipart upload',
    description:
      'Sign parts shortly before they are sent. A part that is sent again replaces the one before. Keep the `ETag` of each answer.',
    tag: 'uploads',
    scope: 'uploads:write',
    params: uploadParams,
    body: partsBody,
    responses: {
      200: {
        description: 'A link for each part; send the bytes with PUT.',
        schema: z.object({
          parts: z.array(z.object({ partNumber: z.int(), url: z.string(), headers: signedHeaders, expiresAt: timestamp })),
        }),
      },
    },
    errors: ['invalid_state', 'expired'],
    async handle({ params: { id }, body: { partNumbers }, principal }) {
      const upload = await findUpload(uploads, principal.tenant, id);
      const links = await presign.parts(upload, partNumbers);
      return { status: 200, body: { parts: links.map(expiring) } };
    },
  });

const listParts = ({ uploads, presign }: PresignRouteParts): Route =>
  route({
    method: 'get',
    path: '/v1/uploads/{id}/parts',
    operationId: 'listParts',
    summary: 'See which parts the store has, to resume a multipart upload',
    tag: 'uploads',
    scope: 'uploads:read',
    params: uploadParams,
    responses: {
      200: {
        description: 'The parts that have arrived, by number.',
        schema: z.object({ parts: z.array(z.object({ partNumber: z.int(), etag: z.string(), size: z.int() })) }),
      },
    },
    errors: ['invalid_state', 'expired', 'store_unavailable'],
    async handle({ params: { id }, principal }) {
      const upload = await findUpload(uploads, principal.tenant, id);
      const parts = await presign.listParts(upload);
      return { status: 200, body: { parts: parts.map(({ partNumber, etag, size }) => ({ partNumber, etag: quoted(etag), size })) } };
    },
  });

/** As in the ETag header that the part was answered with. */
const quoted = (etag: string): string => (etag.startsWith('"') ? etag : `"${etag}"`);

const completeBody = z
  .strictObject({
    parts: z
      .array(z.strictObject({ partNumber, etag }))
      .min(1)
      .max(MAX_PARTS)
      .optional()
      .meta({ description: 'The parts that were sent, with the ETags of their answers. Left out, the store is asked.' }),
    resource: resourceRef.optional().meta({
      description: 'Links the upload to this resource instead of the one it was announced with; moves the link of one that is stored.',
    }),
  })
  .optional();

const completeUpload = ({ uploads, completion, ...addresses }: PresignRouteParts): Route =>
  route({
    method: 'post',
    path: '/v1/uploads/{id}/complete',
    operationId: 'completeUpload',
    summary: 'Report that the bytes are in the store',
    description:
      'Checks existence, size, type, digest and first bytes, and moves the object to where no link can write. Repeating it is safe: after success it gives the same answer, after a failed check the same error.',
    tag: 'uploads',
    scope: 'uploads:write',
    params: uploadParams,
    body: completeBody,
    responses: {
      200: { description: 'The upload is stored.', schema: uploadSchema },
      202: {
        description: 'It is being checked, which goes on by itself.',
        schema: uploadSchema,
        headers: { Location: 'Address of the upload.', 'Retry-After': 'Seconds.' },
      },
    },
    errors: [
      'not_uploaded',
      'invalid_state',
      'conflict',
      'expired',
      'size_mismatch',
      'type_mismatch',
      'content_mismatch',
      'store_unavailable',
    ],
    async handle({ params: { id }, body, principal }) {
      const upload = await findUpload(uploads, principal.tenant, id);
      return presentCompletion(await completion.complete(upload, body), addresses);
    },
  });

function presentCompletion(upload: Upload, { publicUrl, contentUrl }: Addresses): Reply {
  const body = presentUpload(upload, contentUrl);
  if (upload.state === 'stored') return { status: 200, body };
  const headers = { Location: `${publicUrl}/v1/uploads/${upload.id}`, 'Retry-After': String(RETRY_AFTER_SECONDS) };
  return { status: 202, body, headers };
}
