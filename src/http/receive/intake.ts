import type { ByteSource } from '../../byte-source.ts';
import { isAllowed, isTelling } from '../../core/content-type.ts';
import { WindlassError } from '../../errors.ts';
import { ingest } from '../../ingest.ts';
import type { DiskFile } from '../../ports/disk.ts';
import { contradiction } from '../../sniff.ts';

/** Where the bytes of one request go, and how many of them are taken. */
export interface Intake {
  /** Opens the file, once. `expectedSize` is what the client announced (bytes), null when it did not. */
  open: (expectedSize: number | null) => Promise<DiskFile>;
  maxBytes: number;
  /** Told how many bytes of the file have just arrived. */
  onBytes: (bytes: number) => void;
}

/** What the client says about the bytes. */
export interface Claim {
  contentType: string;
  /** Bytes, exactly; null when not declared. */
  size: number | null;
  /** Bytes, about; null when unknown. */
  sizeHint: number | null;
  /** Lower-case hex; null when not declared. */
  sha256: string | null;
}

export interface TakenFile {
  file: DiskFile;
  size: number;
  sha256: string;
}

/**
 * Streams one file to the disk and holds it against what was said about it. The body is asked for only when there is a
 * file to put it into; nothing is left of a file that fails. Throws `too_large`, `content_mismatch`, `digest_mismatch`, `invalid_request`, `spool_full`, and what the body ends with.
 */
export async function takeFile(openBody: () => ByteSource, intake: Intake, claim: Claim): Promise<TakenFile> {
  const file = await intake.open(claim.sizeHint);
  try {
    const { size, sha256 } = await ingest(openBody(), file, {
      maxBytes: intake.maxBytes,
      expectedSize: claim.size,
      inspect: isTelling(claim.contentType) ? (head) => requireConsistent(claim.contentType, head) : undefined,
      onBytes: intake.onBytes,
    });
    if (claim.sha256 !== null && claim.sha256 !== sha256) throw digestMismatch(claim.sha256, sha256);
    return { file, size, sha256 };
  } catch (error) {
    await file.discard();
    throw error;
  }
}

async function requireConsistent(declared: string, head: Uint8Array): Promise<void> {
  const actual = await contradiction(declared, head);
  if (actual === null) return;
  throw new WindlassError('content_mismatch', `The file was declared as ${declared}, but its first bytes are those of ${actual}.`, {
    expected: declared,
    actual,
  });
}

const digestMismatch = (expected: string, actual: string): WindlassError =>
  new WindlassError('digest_mismatch', 'The SHA-256 of the bytes is not the declared one.', { expected, actual });

/** Throws `type_not_allowed`. */
export function requireAllowed(contentType: string, allowed: readonly string[] | undefined): void {
  if (isAllowed(contentType, allowed)) return;
  throw new WindlassError('type_not_allowed', `Files of type ${contentType} are not taken.`, { expected: allowed, actual: contentType });
}
