import { isUtf8 } from 'node:buffer';
import type { Context } from 'koa';
import type { ByteSource } from '../../byte-source.ts';
import { essence } from '../../core/content-type.ts';
import { isWindlassError, WindlassError } from '../../errors.ts';
import { declaredLength, openBody, refuseEncoded } from './body.ts';
import { invalid } from './fields.ts';

/** A JSON body is small: one that takes long is not sent in good faith. */
const PROGRESS = { idleMs: 10_000, minBytesPerSecond: 1024 };
const FIRST_BYTES = 4096;
const JSON_TYPE = /^application\/(?:json|[a-z0-9!#$&^_.-]+\+json)$/;

/**
 * The JSON value of a request's body; undefined when there is none. Throws `type_not_allowed`, `too_large` (as soon as it
 * is known), `invalid_request` for what is no JSON, `upload_timeout`, `aborted`.
 */
export async function readJson(ctx: Context, maxBytes: number): Promise<unknown> {
  const length = declaredLength(ctx.req);
  if (length === 0) return undefined;
  refuseEncoded(ctx.req);
  requireJson(ctx.get('Content-Type'));
  if (length !== null && length > maxBytes) throw tooLarge(maxBytes);
  const bytes = await readAll(openBody(ctx, PROGRESS), maxBytes);
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw invalid('', 'must be JSON in UTF-8');
  try {
    return JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, ''), refusePrototype);
  } catch (error) {
    if (isWindlassError(error)) throw error;
    throw invalid('', `must be JSON: ${error instanceof Error ? error.message : 'it cannot be parsed'}`);
  }
}

/** A member of this name would be lost on the way, without a word: no object can simply be copied with it. */
function refusePrototype(key: string, value: unknown): unknown {
  if (key === '__proto__') throw invalid('/__proto__', 'is not a name that a member can have');
  return value;
}

function requireJson(type: string): void {
  if (JSON_TYPE.test(essence(type))) return;
  throw new WindlassError('type_not_allowed', 'The body has to be JSON.', { expected: ['application/json'], actual: type || null });
}

/** Copied together at once: a chunk costs more memory than its bytes, and clients choose how small chunks are. */
function readAll(body: ByteSource, maxBytes: number): Promise<Buffer> {
  let bytes = Buffer.allocUnsafe(Math.min(FIRST_BYTES, maxBytes));
  let size = 0;
  const take = (chunk: Buffer): void => {
    const end = size + chunk.length;
    if (end > maxBytes) return void body.destroy(tooLarge(maxBytes));
    if (end > bytes.length) {
      const larger = Buffer.allocUnsafe(Math.min(2 * end, maxBytes));
      bytes.copy(larger, 0, 0, size);
      bytes = larger;
    }
    chunk.copy(bytes, size);
    size = end;
  };
  return new Promise((resolve, reject) => {
    body.on('error', reject).on('end', () => resolve(bytes.subarray(0, size)));
    body.on('data', take).resume();
  });
}

const tooLarge = (limit: number): WindlassError => new WindlassError('too_large', `The body is larger than ${limit} bytes.`, { limit });
