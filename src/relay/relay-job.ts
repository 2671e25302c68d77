import { backoffMs } from '../core/backoff.ts';
import { keyOf } from '../core/keys.ts';
import { transition, type Upload, type UploadFields, type UploadState } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import { whileLeased } from '../leased.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { Delivery, Job, Settlement } from '../ports/job-queue.ts';
import type { ObjectInfo, ObjectSource } from '../ports/object-store.ts';
import { BytesMissingError, mayPass, notThere, SourceFailure, uploadErrorOf } from './failure.ts';
import { timedStage } from './timed-stage.ts';

type RelayParts = Pick<Platform, 'uploads' | 'store' | 'disks' | 'config' | 'metrics' | 'log' | 'clock' | 'newId'> & { ledger: Ledger };

const DONE: Settlement = { outcome: 'done' };

/**
 * Brings one accepted upload from the spool to the object store. The job may arrive twice, late, or in two workers at
 * once: the key is fixed by the upload's id, whoever works holds the record's lease, and only the holder can commit.
 */
export class RelayJob {
  readonly #parts: RelayParts;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  /** Throws `repository_unavailable` when nothing can be known about the upload; the job then has to come again. */
  async run(job: Job, { signal }: Pick<Delivery, 'signal'>): Promise<Settlement> {
    for (;;) {
      const upload = await this.#parts.uploads.find(job.uploadId);
      if (!upload) return DONE;
      const settled = await this.#settleWithoutWork(upload);
      if (settled) return settled;
      const leased = await this.#takeLease(upload);
      if (leased?.state === 'failed') return { outcome: 'dead', reason: leased.error?.code ?? 'failed' };
      if (leased) return this.#relay(leased, signal);
    }
  }

  /** The settlement where there is nothing to do, or not yet, or not here; null where the lease can be taken. */
  async #settleWithoutWork(upload: Upload): Promise<Settlement | null> {
    if (upload.state === 'stored') await this.#cleanSpool(upload);
    if (upload.state !== 'queued' && upload.state !== 'relaying') return DONE;
    const now = this.#parts.clock();
    if (upload.lease && upload.lease.expiresAt > now) return { outcome: 'retry', delayMs: upload.lease.expiresAt - now + 100 };
    return null;
  }

  /**
   * The upload with our lease; null when somebody else changed it first. An upload whose tries are used up, because each
   * of them took its worker down, becomes `failed` instead.
   */
  async #takeLease(upload: Upload): Promise<Upload | null> {
    const { ledger, config, clock, newId } = this.#parts;
    if (upload.attempts >= config.JOB_ATTEMPTS) {
      const error = upload.error ?? { code: 'internal', detail: `The worker was lost in each of ${upload.attempts} tries.` };
      const failed = await ledger.transition(upload, 'failed', { error });
      if (failed) this.#count(upload, 'failed');
      return failed;
    }
    const lease = { token: newId(), expiresAt: clock() + config.LEASE_SECONDS * 1000 };
    return ledger.transition(upload, 'relaying', { lease, attempts: upload.attempts + 1 });
  }

  async #relay(upload: Upload, signal: AbortSignal): Promise<Settlement> {
    try {
      const info = await whileLeased(this.#parts, upload, (leased) => this.#transfer(upload, leased), signal);
      return await this.#commit(upload, info);
    } catch (error) {
      return this.#fail(upload, error, signal);
    }
  }

  async #transfer(upload: Upload, signal: AbortSignal): Promise<ObjectInfo> {
    const { store, metrics } = this.#parts;
    const key = keyOf('files', upload.tenant, upload.id);
    const reading = this.#sourceOf(upload);
    let info: ObjectInfo | null;
    try {
      info = await timedStage(metrics, 'put', () => store.put(key, reading.source, signal));
    } catch (error) {
      // The store may have wrapped what was wrong with the spool into an error of its own.
      throw (await reading.broken(error)) ?? error;
    }
    // A store that names the digest has hashed these very bytes under this key; of any other, ask what it has.
    if (info.sha256 !== upload.sha256) info = await timedStage(metrics, 'verify', () => store.head(key));
    if (info?.size !== upload.size) throw notThere();
    return info;
  }

  #sourceOf(upload: Upload): { source: ObjectSource; broken: (error: unknown) => Promise<unknown> } {
    const { size, contentType, sha256 } = upload;
    if (!upload.spool || !sha256) throw new BytesMissingError('The record names no spooled bytes.');
    const { node, key } = upload.spool;
    const spool = this.#parts.disks.spoolOf(node);
    const failure = new SourceFailure();
    const open: ObjectSource['open'] = async (range) => {
      const bytes = await spool.read(key, range).catch((error: unknown) => Promise.reject(failure.note(error)));
      if (!bytes) throw failure.note(new BytesMissingError('The accepted bytes are no longer in the spool.'));
      return bytes.once('error', failure.note);
    };
    /** What the spool has to do with a failure; null where it is the store's. Only then is it worth a look of its own. */
    const brokenBy = async (error: unknown): Promise<unknown> => {
      if (failure.first || codeOf(error) !== 'digest_mismatch') return failure.first;
      const entry = await spool.stat(key);
      return entry?.size === size ? null : new BytesMissingError('The file in the spool does not have the size that was accepted.');
    };
    return { source: { size, contentType, sha256, open }, broken: brokenBy };
  }

  async #commit(upload: Upload, { key }: ObjectInfo): Promise<Settlement> {
    const { store, metrics } = this.#parts;
    const location = { store: store.name, bucket: store.bucket, key, node: null };
    const stored = await timedStage(metrics, 'commit', () => this.#moveOn(upload, 'stored', { location, error: null }));
    if (!stored) return this.#takenOver(upload);
    this.#count(upload, 'stored');
    await this.#cleanSpool(stored);
    return DONE;
  }

  async #fail(upload: Upload, cause: unknown, signal: AbortSignal): Promise<Settlement> {
    const { config, log } = this.#parts;
    const { id: uploadId, attempts } = upload;
    const error = uploadErrorOf(cause);
    // The worker is being stopped, or its queue gave the job to another; or the server that has the bytes is away: no fault of the upload.
    const away = codeOf(cause) === 'node_unavailable';
    if (signal.aborted || away) {
      log.info({ uploadId, away, node: upload.spool?.node }, 'a try to relay an upload was broken off; it does not count');
      const released = await this.#moveOn(upload, 'queued', { attempts: attempts - 1 });
      return released ? { outcome: 'retry', delayMs: away ? config.LEASE_SECONDS * 1000 : 0 } : this.#takenOver(upload);
    }
    log.warn({ err: cause, uploadId, attempts, requestId: upload.trace.requestId }, 'an attempt to relay an upload failed');
    if (!mayPass(cause) || attempts >= config.JOB_ATTEMPTS) {
      const failed = await this.#moveOn(upload, 'failed', { error });
      if (!failed) return this.#takenOver(upload);
      this.#count(upload, 'failed');
      return { outcome: 'dead', reason: error.code };
    }
    const queued = await this.#moveOn(upload, 'queued', { error });
    return queued ? { outcome: 'retry', delayMs: backoffMs(attempts, config) } : this.#takenOver(upload);
  }

  /** Null if the lease is not ours any more. */
  #moveOn(upload: Upload, to: UploadState, fields: UploadFields): Promise<Upload | null> {
    return this.#parts.ledger.updateHeld(upload, (current, now) => transition(current, to, fields, now));
  }

  /** Somebody else has the upload, and with it the object and the spooled file. Only what belongs to nobody is removed. */
  async #takenOver(upload: Upload): Promise<Settlement> {
    const { uploads, store, log } = this.#parts;
    const current = await uploads.find(upload.id);
    log.info({ uploadId: upload.id, state: current?.state ?? 'purged' }, 'an upload was taken over or deleted while it was relayed');
    if (!current || current.state === 'deleted') await store.remove(keyOf('files', upload.tenant, upload.id));
    // Also where the commit went through although its answer was lost.
    if (current?.state === 'stored') await this.#cleanSpool(current);
    return DONE;
  }

  async #cleanSpool({ id: uploadId, spool }: Upload): Promise<void> {
    if (!spool) return;
    try {
      await this.#parts.disks.spoolOf(spool.node).remove(spool.key);
    } catch (error) {
      this.#parts.log.warn({ err: error, uploadId }, 'a relayed file could not be removed from the spool; the reconciler will do it');
    }
  }

  #count({ tenant }: Upload, outcome: 'stored' | 'failed'): void {
    const { metrics } = this.#parts;
    metrics.uploads.inc({ strategy: 'relay', outcome, ...metrics.tenant(tenant) });
  }
}
