import { z } from 'zod';
import { isUploadId } from '../core/keys.ts';
import { WindlassError } from '../errors.ts';

/** An opaque cursor for the page after the upload with this id. */
export const encodeCursor = (id: string): string => Buffer.from(id, 'utf8').toString('base64url');

/** The id in a cursor. Throws `invalid_request` for anything that encodeCursor did not make. */
export function decodeCursor(text: string): string {
  const id = Buffer.from(text, 'base64url').toString('utf8');
  if (isUploadId(id) && encodeCursor(id) === text) return id;
  throw new WindlassError('invalid_request', 'The cursor is not one that this server gave out.', {
    errors: [{ pointer: '/query/cursor', detail: 'must be the nextCursor of a page, unchanged' }],
  });
}

/** The query of every list. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(200))
    .optional()
    .meta({ override: { type: 'integer', minimum: 1, maximum: 200, default: 50 } }),
  cursor: z.string().max(200).optional().meta({ description: '`nextCursor` of the page before.' }),
};
