import type { NewUpload, ResourceRef, Trace, Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { Disk, DiskFile } from '../ports/disk.ts';

/** A file whose bytes have all arrived and been checked, but which is not committed yet. */
export interface ReceivedFile {
  filename: string;
  contentType: string;
  /** Bytes. */
  size: number;
  /** Lower-case hex. */
  sha256: string;
  resource: ResourceRef | null;
  metadata: Record<string, string>;
  file: DiskFile;
}

/** What the request that brought a file is known by. */
export interface Acceptance {
  tenant: string;
  /** Id that the upload gets. */
  id: string;
  trace: Trace;
  /** SHA-256 of the request, when it carries an Idempotency-Key. */
  fingerprint: string | null;
  /** Aborted when the upload must not be recorded any more. */
  signal: AbortSignal;
}

export type AcceptanceParts = Pick<Platform, 'resources' | 'config' | 'clock' | 'log'> & { ledger: Ledger };

/**
 * Commits the bytes (flushed to the disk), then the record: from then on the upload counts as accepted. Whatever fails
 * leaves nothing behind, except where nobody knows whether the record was written: those bytes are the reconciler's.
 */
export async function acceptFile(
  { resources, ledger, clock, log }: AcceptanceParts,
  disk: Pick<Disk, 'remove'>,
  { file, ...received }: ReceivedFile,
  { tenant, id, trace, fingerprint, signal }: Acceptance,
  place: Pick<NewUpload, 'strategy' | 'location' | 'spool' | 'backup'>,
): Promise<Upload> {
  let resourceRevision = 0;
  try {
    const { resource } = received;
    if (resource) resourceRevision = (await resources.touch({ tenant, ...resource }, clock())).revision;
    signal.throwIfAborted();
    await file.commit(received.sha256);
  } catch (error) {
    await file.discard();
    throw error;
  }
  try {
    return await ledger.create({ ...received, ...place, id, tenant, trace, fingerprint, resourceRevision });
  } catch (error) {
    if (!mayBeRecorded(error))
      await disk.remove(file.key).catch((err: unknown) => log.warn({ err, key: file.key }, 'bytes left to the reconciler'));
    throw error;
  }
}

/** `conflict`: a request with the same id was quicker, and these are its bytes. */
const mayBeRecorded = (error: unknown): boolean => ['repository_unavailable', 'conflict'].includes(codeOf(error) ?? '');
