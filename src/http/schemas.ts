import { z } from 'zod';
import { isUploadId } from '../core/keys.ts';
import { STATES, STRATEGIES } from '../core/upload.ts';

/** Schemas that validate requests and describe the API: what is refused and what is documented are the same thing. */

const CONTROL = /[\p{Cc}\p{Cs}\u2028\u2029]/u;
const clean = (max: number, min = 1) =>
  z
    .string()
    .min(min)
    .max(max)
    .refine((text) => !CONTROL.test(text), { message: 'must have no control characters' });

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._~-]{0,127})$/;
export const resourceType = z
  .string()
  .regex(NAME, 'must be 1 to 128 letters, digits, and . _ ~ - after the first')
  .meta({ examples: ['post'] });
export const resourceId = z
  .string()
  .regex(NAME, 'must be 1 to 128 letters, digits, and . _ ~ - after the first')
  .meta({ examples: ['42'] });
export const resourceRef = z.strictObject({ type: resourceType, id: resourceId }).meta({ id: 'ResourceRef' });

export const sha256Hex = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
  .meta({ description: 'SHA-256 of the whole file, lower-case hex.' });

/** At most 32 pairs, so that a record stays small. */
export const metadata = z
  .record(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, and . _ - after the first'),
    clean(1024, 0),
  )
  .refine((pairs) => Object.keys(pairs).length <= 32, { message: 'must have at most 32 pairs' })
  .meta({ description: 'Text of your own, kept with the upload: at most 32 pairs.' });

/**
 * A media type (RFC 9110, section 8.3.1) with names as they are registered (RFC 6838, section 4.2); kept as sent,
 * compared by its essence. It goes into headers: no line breaks, nothing beyond ASCII.
 */
export const contentType = z
  .string()
  .max(255)
  .regex(
    /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ \t]*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[\x20-\x21\x23-\x5b\x5d-\x7e]*"))*$/,
    'must be a media type such as image/jpeg',
  )
  .meta({ examples: ['image/jpeg'] });

export const filename = clean(1024).meta({
  description: 'Name of the file for people; any path before it is cut off.',
  examples: ['cat.jpg'],
});

const uploadId = z
  .string()
  .refine(isUploadId, { message: 'must be a UUIDv7' })
  .meta({ format: 'uuid', examples: ['01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99'] });
export const uploadParams = z.strictObject({ id: uploadId });

const timestamp = z.iso.datetime();

export const uploadSchema = z
  .object({
    id: uploadId,
    strategy: z.enum(STRATEGIES),
    state: z.enum(STATES),
    filename: z.string(),
    contentType: z.string(),
    size: z.int().min(0).meta({ description: 'Bytes.' }),
    sha256: z.string().nullable(),
    url: z.string().nullable().meta({ description: 'Where to read it; null until it is stored.' }),
    location: z
      .object({ store: z.enum(['disk', 's3']), bucket: z.string().nullable(), key: z.string(), node: z.string().nullable() })
      .nullable(),
    resource: resourceRef.nullable(),
    metadata: z.record(z.string(), z.string()),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    attempts: z.int(),
    history: z.array(z.object({ state: z.enum(STATES), at: timestamp })).meta({ description: 'The states it was in, oldest first.' }),
    createdAt: timestamp,
    updatedAt: timestamp,
    storedAt: timestamp.nullable(),
    expiresAt: timestamp.nullable(),
  })
  .meta({ id: 'Upload' });

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    requestId: z.string(),
    limit: z.number().optional(),
    expected: z.unknown().optional(),
    actual: z.unknown().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string(), code: z.string().optional() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem document.' });
