import { Readable } from 'node:stream';
import { backoffMs } from '../core/backoff.ts';
import { backupKeyOf } from '../core/keys.ts';
import { amend, type Backup, type Location, type Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import { whileLeased } from '../leased.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { Delivery, Job, Settlement } from '../ports/job-queue.ts';
import type { ObjectSource } from '../ports/object-store.ts';
import { followMoves } from '../strategies/follow-moves.ts';
import { BytesMissingError, mayPass, notThere, SourceFailure, uploadErrorOf } from './failure.ts';
import { timedStage } from './timed-stage.ts';

type BackupParts = Pick<Platform, 'uploads' | 'store' | 'disks' | 'config' | 'metrics' | 'log' | 'clock' | 'newId'> & {
  ledger: Ledger;
  /** Where copies are made in numbers, and others need the disks and the network as well. */
  throttle?: { take(bytes: number, signal: AbortSignal): Promise<void> };
};

type DueBackup = Extract<Backup, { state: 'due' }>;
interface DueUpload extends Upload {
  backup: DueBackup;
}

const DONE: Settlement = { outcome: 'done' };

/**
 * Copies one direct file to the object store. As with a relay the key is fixed by the upload's id, whoever works holds the
 * record's lease, and only the holder can commit; but the upload is `stored` all the while.
 */
export class BackupJob {
  readonly #parts: BackupParts;

  constructor(parts: BackupParts) {
    this.#parts = parts;
  }

  /** Throws `repository_unavailable` when nothing can be known about the upload; the job then has to come again. */
  async run({ uploadId }: Pick<Job, 'uploadId'>, { signal }: Pick<Delivery, 'signal'>): Promise<Settlement> {
    const { uploads, clock, config } = this.#parts;
    for (;;) {
      const upload = await uploads.find(uploadId);
      if (!upload || !isDue(upload)) return DONE;
      const now = clock();
      if (upload.lease && upload.lease.expiresAt > now) return { outcome: 'retry', delayMs: upload.lease.expiresAt - now + 100 };
      const { attempts, error } = upload.backup;
      if (attempts >= config.JOB_ATTEMPTS) {
        const reason = error ?? { code: 'internal', detail: `The worker was lost in each of ${attempts} tries.` };
        const failed: Backup = { state: 'failed', attempts, error: reason, at: now };
        if (await this.#parts.ledger.amend(upload, { backup: failed, lease: null })) return this.#gaveUp(reason.code);
        continue;
      }
      const claimed = await this.#claim(upload);
      if (claimed && isDue(claimed)) return this.#backUp(claimed, signal);
    }
  }

  /** The upload with our lease; null when somebody else changed it first. */
  #claim(upload: DueUpload): Promise<Upload | null> {
    const { ledger, config, clock, newId } = this.#parts;
    const lease = { token: newId(), expiresAt: clock() + config.LEASE_SECONDS * 1000 };
    return ledger.amend(upload, { lease, backup: { ...upload.backup, attempts: upload.backup.attempts + 1 } });
  }

  async #backUp(upload: DueUpload, signal: AbortSignal): Promise<Settlement> {
    const { store, metrics, clock } = this.#parts;
    const key = backupKeyOf(upload);
    try {
      await whileLeased(this.#parts, upload, (leased) => this.#transfer(upload, key, leased), signal);
      const made: Backup = { state: 'made', store: store.name, bucket: store.bucket, key, at: clock() };
      if (!(await timedStage(metrics, 'commit', () => this.#release(upload, made)))) return await this.#takenOver(upload);
    } catch (error) {
      return this.#fail(upload, error, signal);
    }
    metrics.backups.inc({ outcome: 'made' });
    return DONE;
  }

  async #transfer(upload: DueUpload, key: string, signal: AbortSignal): Promise<void> {
    const { store, metrics } = this.#parts;
    const reading = this.#sourceOf(upload, signal);
    try {
      await timedStage(metrics, 'put', () => store.put(key, reading.source, signal));
    } catch (error) {
      // The store may have wrapped what was wrong with the file into an error of its own.
      throw reading.broken() ?? error;
    }
    if ((await timedStage(metrics, 'verify', () => store.head(key)))?.size !== upload.size) throw notThere();
  }

  #sourceOf(upload: DueUpload, signal: AbortSignal): { source: ObjectSource; broken: () => unknown } {
    const { uploads, disks, throttle } = this.#parts;
    const { size, contentType, sha256 } = upload;
    if (!sha256) throw new BytesMissingError('The record has no SHA-256 to hold the bytes against.');
    const failure = new SourceFailure();
    const read = ({ node, key }: Location, range: Parameters<ObjectSource['open']>[0]) => disks.directOf(node ?? '').read(key, range);
    const open: ObjectSource['open'] = async (range) => {
      const bytes = await followMoves(uploads, upload, (location) => read(location, range)).catch((error: unknown) => {
        throw failure.note(error);
      });
      if (!bytes) throw failure.note(new BytesMissingError('The file is not where the record says.'));
      bytes.once('error', failure.note);
      return throttle ? throttled(bytes, throttle, signal) : bytes;
    };
    return { source: { size, contentType, sha256, open }, broken: () => failure.first };
  }

  async #fail(upload: DueUpload, cause: unknown, signal: AbortSignal): Promise<Settlement> {
    const { config, log, clock } = this.#parts;
    const { id: uploadId, backup, location } = upload;
    const error = uploadErrorOf(cause);
    const away = codeOf(cause) === 'node_unavailable';
    if (signal.aborted || away) {
      log.info({ uploadId, away, node: location?.node }, 'a try to back an upload up was broken off; it does not count');
      const released = await this.#release(upload, { ...backup, attempts: backup.attempts - 1 });
      return released ? { outcome: 'retry', delayMs: away ? config.LEASE_SECONDS * 1000 : 0 } : this.#takenOver(upload);
    }
    log.warn({ err: cause, uploadId, location, attempts: backup.attempts }, 'an attempt to back an upload up failed');
    if (mayPass(cause) && backup.attempts < config.JOB_ATTEMPTS) {
      const released = await this.#release(upload, { ...backup, error });
      return released ? { outcome: 'retry', delayMs: backoffMs(backup.attempts, config) } : this.#takenOver(upload);
    }
    const failed = await this.#release(upload, { state: 'failed', attempts: backup.attempts, error, at: clock() });
    return failed ? this.#gaveUp(error.code) : this.#takenOver(upload);
  }

  #gaveUp(reason: string): Settlement {
    this.#parts.metrics.backups.inc({ outcome: 'failed' });
    return { outcome: 'dead', reason };
  }

  /** Null if the lease is not ours any more. */
  #release(upload: DueUpload, backup: Backup): Promise<Upload | null> {
    return this.#parts.ledger.updateHeld(upload, (current, now) => amend(current, { lease: null, backup }, now));
  }

  /** Deleted, then the copy goes, too; or somebody else has the lease by now. */
  async #takenOver(upload: DueUpload): Promise<Settlement> {
    const { uploads, store, config } = this.#parts;
    const current = await uploads.find(upload.id);
    if (!current || current.state === 'deleted') await store.remove(backupKeyOf(upload));
    return current && isDue(current) ? { outcome: 'retry', delayMs: config.LEASE_SECONDS * 1000 } : DONE;
  }
}

const isDue = (upload: Upload): upload is DueUpload => upload.state === 'stored' && upload.backup?.state === 'due';

function throttled(bytes: Readable, throttle: NonNullable<BackupParts['throttle']>, signal: AbortSignal): Readable {
  async function* slowly(): AsyncGenerator<Buffer> {
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      await throttle.take(chunk.length, signal);
      yield chunk;
    }
  }
  return Readable.from(slowly(), { objectMode: false });
}
