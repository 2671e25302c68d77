import { WindlassError } from '../errors.ts';

/** Digest Fields (RFC 9530) with SHA-256; digests by other algorithms are passed over, as the RFC allows. */

/** One member of the dictionary: a key, a byte sequence, parameters (RFC 9651). */
const MEMBER = /^([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):(?:\s*;[^,]*)?$/;
const SHA256_BYTES = 32;

/** The SHA-256 that a Content-Digest names, lower-case hex; null when it names none. Throws `invalid_request` when malformed. */
export function parseContentDigest(header: string | undefined): string | null {
  if (header === undefined) return null;
  let sha256: string | null = null;
  for (const member of header.split(',')) {
    const [, algorithm, encoded = ''] = MEMBER.exec(member.trim()) ?? [];
    if (algorithm === undefined) throw malformed();
    if (algorithm !== 'sha-256') continue;
    const digest = Buffer.from(encoded, 'base64');
    if (digest.length !== SHA256_BYTES) throw malformed();
    sha256 = digest.toString('hex');
  }
  return sha256;
}

/** The value of Repr-Digest or Content-Digest for a SHA-256 in hex. */
export const digestField = (sha256: string): string => `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;

const malformed = (): WindlassError =>
  new WindlassError('invalid_request', 'Content-Digest must look like sha-256=:BASE64: (RFC 9530).', {
    errors: [{ pointer: '/headers/content-digest', detail: 'must look like sha-256=:BASE64:' }],
  });
