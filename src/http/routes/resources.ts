import type { Context } from 'koa';
import { z } from 'zod';
import type { Resource } from '../../ports/resource-repository.ts';
import { type LinkedResource, MAX_LISTED, type Precondition, type Resources } from '../../strategies/resources.ts';
import type { Addresses } from '../addresses.ts';
import { preconditions } from '../preconditions.ts';
import { presentUpload } from '../presenter.ts';
import { type Route, route } from '../route.ts';
import { resourceId, resourceType, uploadSchema } from '../schemas.ts';

export interface ResourceRouteParts extends Pick<Addresses, 'contentUrl'> {
  resources: Resources;
}

/** Strategy 3, step 4: the things of the users' own that uploads belong to. */
export function resourceRoutes(parts: ResourceRouteParts): Route[] {
  return [putResource(parts), getResource(parts), deleteResource(parts)];
}

const MAX_NAMED = 100;
const MAX_DEPTH = 32;

const params = z.strictObject({ type: resourceType, id: resourceId });

/** Counted without recursion: deep nesting must not cost the stack. */
function depthOf(value: unknown): number {
  let depth = 0;
  for (let level = [value]; level.length > 0 && depth <= MAX_DEPTH; depth += 1)
    level = level.flatMap((one) => (one !== null && typeof one === 'object' ? Object.values(one) : []));
  return depth;
}

const reference = z
  .strictObject({
    id: z.string().max(64).optional().meta({ description: 'Id of the upload.' }),
    key: z.string().max(512).optional().meta({ description: "Key of the upload's object." }),
    url: z.string().max(2048).optional().meta({ description: 'Its `url`, that is the address of its content. It is never fetched.' }),
  })
  .refine((names) => Object.values(names).filter((name) => name !== undefined).length === 1, {
    message: 'must have exactly one of id, key and url',
  })
  .meta({ id: 'UploadReference', override: { minProperties: 1, maxProperties: 1 } });

const resourceBody = z.strictObject({
  attributes: z
    .record(z.string(), z.unknown())
    .refine((attributes) => depthOf(attributes) <= MAX_DEPTH, { message: `must not be nested deeper than ${MAX_DEPTH} levels` })
    .optional()
    .meta({ description: 'Anything of your own. Left out, what is there stays.' }),
  uploads: z
    .array(reference)
    .max(MAX_NAMED)
    .meta({ description: `The uploads that shall belong to it, at most ${MAX_NAMED}; all others are unlinked.` }),
});

const resourceSchema = z
  .object({
    type: resourceType,
    id: resourceId,
    attributes: z.record(z.string(), z.unknown()),
    uploads: z.array(uploadSchema).meta({ description: `Its uploads, newest first; of more than ${MAX_LISTED} the newest.` }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Resource' });

const ETAG = { ETag: 'Version of the resource, for If-Match.' };
const CONDITIONS = { 'If-Match': 'Only if the resource still has this ETag; `*`: only if it exists.' };

const putResource = ({ resources, contentUrl }: ResourceRouteParts): Route =>
  route({
    method: 'put',
    path: '/v1/resources/{type}/{id}',
    operationId: 'putResource',
    summary: 'Create or change a resource and say which uploads belong to it',
    description:
      'Each upload is checked in the store first, and a pending one is completed. When one of them cannot be linked, the resource and its links stay as they are; what was completed stays stored.',
    tag: 'resources',
    scope: 'uploads:write',
    params,
    headers: { ...CONDITIONS, 'If-None-Match': '`*`: only if it does not exist yet.' },
    body: resourceBody,
    responses: {
      200: { description: 'Changed.', schema: resourceSchema, headers: ETAG },
      201: { description: 'Created.', schema: resourceSchema, headers: ETAG },
    },
    errors: ['precondition_failed', 'resource_uploads_invalid', 'conflict', 'store_unavailable'],
    async handle({ ctx, params: { type, id }, body, principal: { tenant } }) {
      const linked = await resources.put({ tenant, type, id }, body, conditionsOf(ctx));
      return { status: linked.created ? 201 : 200, ...present(linked, contentUrl) };
    },
  });

const getResource = ({ resources, contentUrl }: ResourceRouteParts): Route =>
  route({
    method: 'get',
    path: '/v1/resources/{type}/{id}',
    operationId: 'getResource',
    summary: 'Read a resource and its uploads',
    tag: 'resources',
    scope: 'uploads:read',
    params,
    responses: { 200: { description: 'The resource.', schema: resourceSchema, headers: ETAG } },
    errors: [],
    async handle({ params: { type, id }, principal: { tenant } }) {
      return { status: 200, ...present(await resources.get({ tenant, type, id }), contentUrl) };
    },
  });

const deleteResource = ({ resources }: ResourceRouteParts): Route =>
  route({
    method: 'delete',
    path: '/v1/resources/{type}/{id}',
    operationId: 'deleteResource',
    summary: 'Forget a resource; its uploads stay',
    tag: 'resources',
    scope: 'uploads:write',
    params,
    headers: CONDITIONS,
    responses: { 204: { description: 'It is gone, and its uploads are linked to nothing.' } },
    errors: ['precondition_failed', 'conflict'],
    async handle({ ctx, params: { type, id }, principal: { tenant } }) {
      await resources.remove({ tenant, type, id }, conditionsOf(ctx));
      return { status: 204 };
    },
  });

/** A resource that was deleted and made again counts anew, so its birth is part of the tag. */
const resourceTag = ({ createdAt, revision }: Resource): string => `"${createdAt.toString(36)}.${revision}"`;

function conditionsOf(ctx: Context): Precondition {
  const check = preconditions({ ifMatch: ctx.get('If-Match'), ifNoneMatch: ctx.get('If-None-Match') });
  return (current) => check(current && resourceTag(current));
}

function present({ resource, uploads }: LinkedResource, contentUrl: string) {
  const { type, id, attributes, createdAt, updatedAt } = resource;
  return {
    headers: { ETag: resourceTag(resource) },
    body: {
      type,
      id,
      attributes,
      uploads: uploads.map((upload) => presentUpload(upload, contentUrl)),
      createdAt: new Date(createdAt).toISOString(),
      updatedAt: new Date(updatedAt).toISOString(),
    },
  };
}
