/** How S3 writes digests and etags. */

export const base64Of = (sha256: string): string => Buffer.from(sha256, 'hex').toString('base64');
export const hexOf = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

const WHOLE_SHA256 = /^[A-Za-z0-9+/]{43}=$/;

/** Lower-case hex of a whole object's SHA-256; null where the store has none, or one made of the parts' (`…-3`). */
export function sha256Of({
  ChecksumSHA256,
  ChecksumType,
}: {
  ChecksumSHA256?: string | undefined;
  ChecksumType?: string | undefined;
}): string | null {
  if (!ChecksumSHA256 || ChecksumType === 'COMPOSITE' || !WHOLE_SHA256.test(ChecksumSHA256)) return null;
  return hexOf(ChecksumSHA256);
}

/** As it stands in an ETag header. Some servers leave the quotes out in listings, and clients in their reports. */
export const quoted = (etag: string | undefined): string => `"${(etag ?? '').replace(/^"(.*)"$/, '$1')}"`;
