import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { Context } from 'koa';
import { asReadable, type ByteSource } from '../../byte-source.ts';
import { WindlassError } from '../../errors.ts';
import { type ProgressLimits, watchProgress } from '../../progress.ts';
import { sendContinue } from '../refusal.ts';
import { invalid } from './fields.ts';

/** Begins to read the body of a request: asks for it where the client waits for that, and watches that it comes. */
export function openBody(ctx: Context, limits: ProgressLimits): ByteSource {
  sendContinue(ctx);
  return watchProgress(ctx.req, limits);
}

/** The same for a reader that iterates over it. */
export const openStream = (ctx: Context, limits: ProgressLimits): Readable => asReadable(openBody(ctx, limits));

/** Bytes of the body, null when the client does not say (chunked). A request without a body has 0. */
export function declaredLength({ headers }: IncomingMessage): number | null {
  if (headers['transfer-encoding'] !== undefined) return null;
  const text = headers['content-length'] ?? '0';
  const length = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(length)) throw invalid('/headers/content-length', 'must be a number of bytes');
  return length;
}

/** Files are kept as they come: a body in another coding than `identity` would be stored in that coding without saying so. */
export function refuseEncoded({ headers }: IncomingMessage): void {
  const encoding = headers['content-encoding'];
  if (encoding === undefined || encoding.trim().toLowerCase() === 'identity') return;
  throw new WindlassError('type_not_allowed', `A body with Content-Encoding ${JSON.stringify(encoding)} is not taken.`, {
    expected: ['identity'],
    actual: encoding,
  });
}
