import { z } from 'zod';
import { WindlassError } from '../../errors.ts';
import { metadata, resourceId, resourceType, sha256Hex } from '../schemas.ts';

const metadataText = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      context.addIssue({ code: 'custom', message: 'must be JSON' });
      return z.NEVER;
    }
  })
  .pipe(metadata)
  .meta({ override: { type: 'string', contentMediaType: 'application/json' }, description: 'JSON object of texts: at most 32 pairs.' });

/** What a client can say about a file beside the file: query parameters of a raw body, or fields of a form. */
export const uploadFields = z
  .strictObject({
    resourceType: resourceType.optional(),
    resourceId: resourceId.optional(),
    metadata: metadataText.optional(),
    sha256: sha256Hex.optional(),
  })
  .refine((fields) => (fields.resourceType === undefined) === (fields.resourceId === undefined), {
    message: 'resourceType and resourceId go together',
  });

export type UploadFieldValues = z.output<typeof uploadFields>;

export const FIELD_NAMES: ReadonlySet<string> = new Set(['resourceType', 'resourceId', 'metadata', 'sha256']);

/** `invalid_request` about one place. */
export const invalid = (pointer: string, detail: string, cause?: unknown): WindlassError =>
  new WindlassError('invalid_request', `${pointer.slice(1) || 'The request'} ${detail}.`, { errors: [{ pointer, detail }], cause });
