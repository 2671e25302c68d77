import { v7 } from 'uuid';
import { type KeyArea, keyOf } from '../../src/core/keys.ts';

/** Beginnings that type recognition knows. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/** An id of the right form that no upload has. */
export const NO_SUCH_ID = '01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99';

export const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The smallest size that S3 takes for a part that is not the last. */
export const PART_BYTES = 5 * 1024 ** 2;

/** A key that nobody has used. */
export const newKey = (area: KeyArea = 'files', tenant = 'acme'): string => keyOf(area, tenant, v7());
