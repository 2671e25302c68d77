import type { Logger } from 'pino';
import {
  amend,
  createUpload,
  type JobKind,
  type NewUpload,
  type Now,
  transition,
  type Upload,
  type UploadChange,
  type UploadFields,
  type UploadState,
} from './core/upload.ts';
import { codeOf, WindlassError } from './errors.ts';
import type { Platform } from './platform.ts';
import type { UploadRepository } from './ports/upload-repository.ts';

const ATTEMPTS = 20;

/**
 * The only way in which records are written: every change is counted, logged with one line, and its messages are handed
 * to the dispatcher at once. (Those it misses stay in the record's outbox, where the dispatcher's sweep finds them.)
 */
export class Ledger {
  readonly #uploads: UploadRepository;
  readonly #deps: Pick<Platform, 'metrics' | 'clock' | 'newId'> & { log: Logger };
  readonly #dispatch: (upload: Upload) => void;

  constructor(deps: Pick<Platform, 'uploads' | 'metrics' | 'log' | 'clock' | 'newId'>, dispatch: (upload: Upload) => void) {
    this.#uploads = deps.uploads;
    this.#deps = deps;
    this.#dispatch = dispatch;
  }

  now(): Now {
    return { now: this.#deps.clock(), newId: this.#deps.newId };
  }

  async create(fields: NewUpload): Promise<Upload> {
    const upload = createUpload(fields, this.now());
    await this.#uploads.insert(upload);
    this.#changed(upload);
    return upload;
  }

  /** The changed record, or null when somebody else changed it first. */
  async apply(upload: Upload, change: UploadChange): Promise<Upload | null> {
    const changed = await this.#uploads.apply(change);
    // What else is in its outbox was handed over by whoever put it there: once more would be one job more.
    if (changed) this.#changed({ ...changed, outbox: change.emit }, upload.state);
    return changed;
  }

  transition(upload: Upload, to: UploadState, fields: UploadFields = {}, job?: JobKind): Promise<Upload | null> {
    return this.apply(upload, transition(upload, to, fields, this.now(), job));
  }

  amend(upload: Upload, fields: UploadFields, job?: JobKind): Promise<Upload | null> {
    return this.apply(upload, amend(upload, fields, this.now(), job));
  }

  /**
   * Changes whatever the record is by now: `decide` is asked again with the newest record until its change goes through.
   * It returns null to leave the record as it is, or throws. Throws `not_found` when there is no such record.
   */
  async update(id: string, decide: (upload: Upload, now: Now) => UploadChange | null): Promise<Upload> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const upload = await this.#uploads.find(id);
      if (!upload) throw new WindlassError('not_found', 'There is no such upload.');
      const change = decide(upload, this.now());
      if (!change) return upload;
      const changed = await this.apply(upload, change);
      if (changed) return changed;
    }
    throw new WindlassError('conflict', 'The upload is being changed by others; try again.', { retryAfter: 1 });
  }

  /**
   * Changes the record if its lease still is that of `held`; null if it is not, or if there is no record any more. Nearly
   * always it is as it was left, and one update does. Otherwise it may have been amended meanwhile (linked to a resource):
   * that raises its version, but takes nothing from whoever holds the lease.
   */
  async updateHeld(held: Upload, change: (current: Upload, now: Now) => UploadChange): Promise<Upload | null> {
    const unchanged = await this.apply(held, change(held, this.now()));
    if (unchanged) return unchanged;
    let ours = true;
    try {
      const changed = await this.update(held.id, (current, now) => {
        ours = current.state === held.state && current.lease?.token === held.lease?.token;
        return ours ? change(current, now) : null;
      });
      return ours ? changed : null;
    } catch (error) {
      if (codeOf(error) === 'not_found') return null;
      throw error;
    }
  }

  #changed(upload: Upload, before?: UploadState): void {
    if (upload.state !== before || upload.version === 1) {
      this.#deps.metrics.transitions.inc({ state: upload.state });
      if (upload.state === 'stored') this.#deps.metrics.acceptedToStored.observe({ strategy: upload.strategy }, secondsToStore(upload));
      const { id: uploadId, tenant, strategy, state, version, attempts, size, error } = upload;
      this.#deps.log.info(
        {
          uploadId,
          requestId: upload.trace.requestId,
          traceparent: upload.trace.traceparent ?? undefined,
          tenant,
          strategy,
          from: before,
          state,
          version,
          attempts,
          size,
          error: error ?? undefined,
        },
        'upload changed state',
      );
    }
    if (upload.outbox.length > 0) this.#dispatch(upload);
  }
}

/** From acceptance to stored; a presigned upload counts from when its completion was first reported. */
function secondsToStore(upload: Upload): number {
  const begun = upload.strategy === 'presign' ? upload.history.find(({ state }) => state === 'verifying')?.at : upload.createdAt;
  return ((upload.storedAt ?? upload.updatedAt) - (begun ?? upload.createdAt)) / 1000;
}
