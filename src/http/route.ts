import type { Context } from 'koa';
import type { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import type { Principal, Scope } from '../tokens.ts';

/** A validated request as a route sees it. */
export interface Call<P = unknown, Q = unknown, B = unknown> {
  ctx: Context;
  params: P;
  query: Q;
  body: B;
  principal: Principal;
  requestId: string;
  /** W3C traceparent, if the client sent a well-formed one. */
  traceparent: string | null;
}

/** A JSON answer. A handler that writes to `ctx` itself (streams) returns nothing. */
export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/** How an answer is described in the OpenAPI document. */
interface ResponseDoc {
  description: string;
  schema?: z.ZodType;
  /** Media types other than application/json. */
  content?: Record<string, object>;
  headers?: Record<string, string>;
}

/**
 * One operation of the API: the router and the OpenAPI document are both made from this, so that they cannot drift.
 * Errors that every route can meet (400, 401, 403, 404, 429, 500, 503) are documented without being named in `errors`.
 */
export interface Route<P extends z.ZodType = z.ZodType, Q extends z.ZodType = z.ZodType, B extends z.ZodType = z.ZodType> {
  method: 'get' | 'post' | 'put' | 'delete';
  /** OpenAPI form: `/v1/uploads/{id}`. */
  path: string;
  operationId: string;
  summary: string;
  description?: string;
  tag: 'uploads' | 'resources' | 'admin';
  scope: Scope;
  /** A malformed parameter is a 404: there is nothing at that address. */
  params?: P;
  query?: Q;
  /** A JSON body; optional when the schema takes undefined. */
  body?: B;
  /** A body that is streamed, described for the document only. */
  streamed?: Record<string, object>;
  /** Request headers beyond the common ones, described for the document only: name → meaning. */
  headers?: Record<string, string>;
  responses: Record<number, ResponseDoc>;
  errors: ErrorCode[];
  handle(call: Call<z.output<P>, z.output<Q>, z.output<B>>): Promise<Reply | undefined>;
}

/** Gives a route its types; the list of routes forgets them again. */
export const route = <P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(definition: Route<P, Q, B>): Route =>
  definition as unknown as Route;
