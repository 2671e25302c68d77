import { type ResourceRef, transition, type Upload, type UploadError, type UploadFields, type UploadState } from '../core/upload.ts';
import { WindlassError } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { PresignedUpload } from './pending.ts';
import { removeStaging } from './removal.ts';
import { frozenKey, MISMATCHES, type Mismatch } from './verification.ts';

type Parts = Pick<Platform, 'uploads' | 'resources' | 'store' | 'clock' | 'log' | 'metrics'> & { ledger: Ledger };

/**
 * Writes down what came of a verification. Every method does so only while the lease that `upload` carries still is the
 * one in the record, and answers null when somebody else has it by now.
 */
export class Conclusion {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The object is what was declared, and lies where the client cannot write. */
  async store(upload: PresignedUpload, sha256: string): Promise<Upload | null> {
    const { store, metrics } = this.#parts;
    const resourceRevision = await this.#touch(upload, upload.resource);
    const location = { store: store.name, bucket: store.bucket, key: frozenKey(upload), node: null };
    const stored = await this.#moveOn(upload, 'stored', (current) => ({
      sha256,
      location,
      error: null,
      expiresAt: null,
      // Linked elsewhere meanwhile: then that is newer.
      resourceRevision: sameResource(current.resource, upload.resource)
        ? (resourceRevision ?? current.resourceRevision)
        : current.resourceRevision,
    }));
    if (!stored) return this.#discardIfNobodys(upload);
    metrics.uploads.inc({ strategy: 'presign', outcome: 'stored', ...metrics.tenant(upload.tenant) });
    // Deleted between the two writes, the resource has to be there again: it is what its newest upload belongs to.
    if (upload.resource && !(await this.#exists(upload, upload.resource))) await this.#touch(upload, upload.resource);
    return stored;
  }

  /** The object is not what was declared: record first, so that nobody's acknowledged object can be discarded. */
  async reject(upload: PresignedUpload, { code, detail }: Mismatch): Promise<Upload | null> {
    const { store, metrics, log } = this.#parts;
    const failed = await this.#moveOn(upload, 'failed', () => ({ error: { code, detail }, expiresAt: null }));
    if (!failed) return this.#discardIfNobodys(upload);
    metrics.uploads.inc({ strategy: 'presign', outcome: 'rejected', ...metrics.tenant(upload.tenant) });
    await Promise.all([store.remove(frozenKey(upload)), removeStaging(this.#parts, upload)]).catch((err: unknown) =>
      log.warn({ err, uploadId: upload.id }, 'a rejected object could not be discarded; the reconciler will do it'),
    );
    return failed;
  }

  /** No further try. The bytes stay until the reconciler takes them. */
  async giveUp(upload: PresignedUpload, error: UploadError): Promise<Upload | null> {
    const failed = await this.#moveOn(upload, 'failed', () => ({ error, expiresAt: null }));
    const { metrics } = this.#parts;
    if (failed) metrics.uploads.inc({ strategy: 'presign', outcome: 'failed', ...metrics.tenant(upload.tenant) });
    return failed;
  }

  /** The client may go on writing, and report completion again. */
  reopen(upload: PresignedUpload): Promise<Upload | null> {
    return this.#moveOn(upload, 'pending', () => ({}));
  }

  /** Gives the lease back, so that the next one can go on at once; with a job that does so, where `job` is set. */
  release(upload: PresignedUpload, { job = false, attempts = upload.attempts } = {}): Promise<Upload | null> {
    return this.#moveOn(upload, 'verifying', () => ({ attempts }), job);
  }

  /** What the client uploaded is no longer needed. Whatever fails here is left to the reconciler. */
  async tidy(upload: PresignedUpload): Promise<void> {
    await removeStaging(this.#parts, upload).catch((err: unknown) =>
      this.#parts.log.warn({ err, uploadId: upload.id }, 'staged bytes could not be removed; the reconciler will do it'),
    );
  }

  async #touch({ tenant }: Upload, resource: ResourceRef | null): Promise<number | null> {
    if (!resource) return null;
    return (await this.#parts.resources.touch({ tenant, ...resource }, this.#parts.clock())).revision;
  }

  async #exists({ tenant }: Upload, resource: ResourceRef): Promise<boolean> {
    return (await this.#parts.resources.find({ tenant, ...resource })) !== null;
  }

  /** Null if the lease is not ours any more. */
  #moveOn(upload: Upload, to: UploadState, fieldsOf: (current: Upload) => UploadFields, job = false): Promise<Upload | null> {
    return this.#parts.ledger.updateHeld(upload, (current, now) =>
      transition(current, to, fieldsOf(current), now, job ? 'complete' : undefined),
    );
  }

  /** The lease was lost. Whoever has it owns the object too, unless the upload was deleted or given up: then nobody does. */
  async #discardIfNobodys(upload: PresignedUpload): Promise<null> {
    const { uploads, store, log } = this.#parts;
    const current = await uploads.find(upload.id);
    if (!current || current.state === 'deleted' || current.state === 'failed')
      await store
        .remove(frozenKey(upload))
        .catch((err: unknown) => log.warn({ err, uploadId: upload.id }, 'an object without a record is left to the reconciler'));
    return null;
  }
}

export const sameResource = (a: ResourceRef | null, b: ResourceRef | null): boolean => a?.type === b?.type && a?.id === b?.id;

/** What a completion of a failed upload is answered with: the same each time where a check failed. */
export function failureOf({ error, state }: Upload, mismatch?: Mismatch): WindlassError {
  const code = MISMATCHES.find((one) => one === error?.code);
  if (!code || !error) return new WindlassError('invalid_state', error?.detail ?? 'The upload has failed.', { actual: state });
  const { expected, actual } = mismatch ?? {};
  return new WindlassError(code, error.detail, { status: 422, ...(mismatch ? { expected, actual } : {}) });
}

export const notUploaded = (): WindlassError => new WindlassError('not_uploaded', 'The store has no such object yet.');
