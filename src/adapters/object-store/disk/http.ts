import type { Context, Middleware } from 'koa';
import { asReadable, type ByteSource } from '../../../byte-source.ts';
import { WindlassError } from '../../../errors.ts';
import type { PartTerms, PutTerms } from '../../../ports/presigner.ts';
import { receiveForm } from './http-form.ts';
import { sendObject } from './http-get.ts';
import { contentDigest, type DiskPresigner } from './links.ts';
import type { DiskObjectStore } from './store.ts';

export interface StoreEndpointParts {
  store: Pick<DiskObjectStore, 'begin' | 'writePart' | 'open'>;
  presigner: Pick<DiskPresigner, 'verify' | 'verifyForm'>;
  /** Epoch ms. */
  clock: () => number;
  /**
   * The body of a request, which ends with an error when it comes too slowly. Asked for once the request has been let in,
   * so this is where `100 Continue` is sent. Must leave the request open when its reader stops early.
   */
  open: (ctx: Context) => ByteSource;
}

const PREFIX = '/store';
const FORM_METHODS = ['POST', 'OPTIONS'];
const KEY_METHODS = ['GET', 'HEAD', 'PUT', 'OPTIONS'];

/**
 * Serves the signed links of the embedded store: PUT, POST form, PUT of a part, GET and HEAD. Errors are thrown, for the
 * app to answer. Clients of other origins need the ETag header exposed; preflights are answered by the CORS layer before.
 */
export function storeEndpoint(parts: StoreEndpointParts): Middleware {
  return async (ctx, next) => {
    if (ctx.path !== PREFIX && !ctx.path.startsWith(`${PREFIX}/`)) return next();
    const key = ctx.path.slice(PREFIX.length + 1);
    const allow = key === '' ? FORM_METHODS : KEY_METHODS;
    if (!allow.includes(ctx.method)) throw new WindlassError('method_not_allowed', `${ctx.method} is not for this address.`, { allow });
    if (ctx.method === 'OPTIONS') return answerOptions(ctx, allow);
    if (key === '') return answerEtag(ctx, 204, await receiveForm(ctx, parts));
    const link = parts.presigner.verify(ctx.method === 'PUT' ? 'PUT' : 'GET', key, new URLSearchParams(ctx.querystring), parts.clock());
    if (link.kind === 'put') return answerEtag(ctx, 200, await receiveObject(ctx, link.terms, parts));
    if (link.kind === 'part') return answerEtag(ctx, 200, await receivePart(ctx, link.terms, parts));
    return sendObject(ctx, link.terms, parts.store);
  };
}

async function receiveObject(ctx: Context, terms: PutTerms, { store, open }: StoreEndpointParts): Promise<string> {
  requireSize(ctx, terms.size);
  requireHeader(ctx, 'Content-Type', terms.contentType);
  if (terms.sha256 !== null) requireHeader(ctx, 'Content-Digest', contentDigest(terms.sha256));
  const object = await store.begin(terms.key, terms);
  try {
    await object.receive(open(ctx));
    return `"${(await object.commit()).etag}"`;
  } finally {
    await object.discard();
  }
}

async function receivePart(ctx: Context, terms: PartTerms, { store, open }: StoreEndpointParts): Promise<string> {
  requireSize(ctx, terms.size);
  const part = await store.writePart(terms, () => asReadable(open(ctx)));
  if (!part) throw new WindlassError('not_found', 'There is no such multipart upload (any more).');
  return part.etag;
}

function requireSize(ctx: Context, size: number): void {
  const length = ctx.get('Content-Length');
  if (length === '') throw new WindlassError('length_required', 'The request has no Content-Length.', { expected: size });
  if (length !== String(size))
    throw new WindlassError('link_invalid', 'The link is for a body of another size.', { expected: size, actual: Number(length) });
}

function requireHeader(ctx: Context, name: string, expected: string): void {
  const actual = ctx.get(name);
  if (actual !== expected)
    throw new WindlassError('link_invalid', `The link is for a request with another ${name}.`, {
      expected,
      actual: actual === '' ? null : actual,
    });
}

function answerEtag(ctx: Context, status: number, etag: string): void {
  ctx.status = status;
  ctx.set('ETag', etag);
  if (status === 200) {
    ctx.body = '';
    ctx.remove('Content-Type');
  }
}

function answerOptions(ctx: Context, allow: string[]): void {
  ctx.status = 204;
  ctx.set('Allow', allow.join(', '));
}
