import { z } from 'zod';
import { createDocument } from 'zod-openapi';
import { ERRORS, type ErrorCode } from '../errors.ts';
import { PROBLEM_TYPE } from './problem.ts';
import type { Route } from './route.ts';
import { problemSchema } from './schemas.ts';

type Document = ReturnType<typeof createDocument>;
type Operation = NonNullable<NonNullable<Parameters<typeof createDocument>[0]['paths']>[string]['get']>;

/** What any route can answer, so that no route has to say it. */
const COMMON: readonly ErrorCode[] = ['unauthorized', 'forbidden', 'rate_limited', 'internal', 'repository_unavailable', 'invalid_request'];

/** The OpenAPI 3.1 document of the routes, made from the schemas that validate requests. A server without tokens asks for none. */
export function openApiDocument(routes: readonly Route[], info: { version: string; serverUrl: string; tokens: boolean }): Document {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    Object.assign(paths[route.path] ?? {}, { [route.method]: operationOf(route) });
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Windlass',
      version: info.version,
      description:
        'Takes files by three strategies: direct to this server, relayed to the object store, or straight to the object store by a signed link.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: info.serverUrl }],
    security: info.tokens ? [{ token: [] }] : [],
    tags: [
      { name: 'uploads' },
      { name: 'resources', description: 'Things of your own that uploads belong to.' },
      { name: 'admin', description: 'For operators.' },
    ],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'A token made by `windlass token`.' } } },
    paths,
  });
}

function operationOf(route: Route): Operation {
  const requestParams = { ...objectOf('path', route.params), ...objectOf('query', route.query), ...headersOf(route) };
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(route.description ? { description: route.description } : {}),
    tags: [route.tag],
    ...(Object.keys(requestParams).length > 0 ? { requestParams } : {}),
    ...bodyOf(route),
    responses: responsesOf(route),
  } as Operation;
}

const objectOf = (place: string, schema: z.ZodType | undefined) => (schema ? { [place]: schema } : {});

function headersOf(route: Route) {
  if (!route.headers) return {};
  const shape = Object.entries(route.headers).map(([name, description]) => [name, z.string().optional().meta({ description })]);
  return { header: z.object(Object.fromEntries(shape)) };
}

function bodyOf(route: Route) {
  if (route.streamed) return { requestBody: { required: true, content: route.streamed } };
  if (!route.body) return {};
  return { requestBody: { required: !route.body.safeParse(undefined).success, content: { 'application/json': { schema: route.body } } } };
}

function responsesOf(route: Route) {
  const responses: Record<string, object> = {};
  for (const [status, doc] of Object.entries(route.responses)) {
    const content = doc.content ?? (doc.schema ? { 'application/json': { schema: doc.schema } } : undefined);
    const headers =
      doc.headers &&
      Object.fromEntries(Object.entries(doc.headers).map(([name, description]) => [name, { description, schema: { type: 'string' } }]));
    responses[status] = { description: doc.description, ...(content ? { content } : {}), ...(headers ? { headers } : {}) };
  }
  for (const [status, codes] of byStatus(route)) {
    const description = codes.map((code) => `\`${code}\`: ${ERRORS[code].cause}`).join('\n\n');
    responses[status] ??= { description, content: { [PROBLEM_TYPE]: { schema: problemSchema } } };
  }
  return responses;
}

function byStatus(route: Route): Map<string, ErrorCode[]> {
  const codes: ErrorCode[] = [...COMMON, ...route.errors];
  if (route.params) codes.push('not_found');
  if (route.body) codes.push('too_large', 'type_not_allowed');
  return Map.groupBy(new Set(codes), (code) => String(ERRORS[code].status)) as Map<string, ErrorCode[]>;
}
