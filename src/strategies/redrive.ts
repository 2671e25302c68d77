import { amend, dueBackup, transition, type Upload } from '../core/upload.ts';
import { WindlassError } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import { noSuchUpload } from './find-upload.ts';

type RedriveParts = Pick<Platform, 'uploads' | 'disks' | 'queue' | 'log'> & { ledger: Ledger };

/** Gives a relayed upload that failed for good another set of tries; or a direct one whose backup did. */
export class Redrive {
  readonly #parts: RedriveParts;

  constructor(parts: RedriveParts) {
    this.#parts = parts;
  }

  /** Throws `not_found`, `node_unavailable`, or `not_redrivable` for an upload that is not a failed relay with its bytes still in the spool, nor a direct one whose backup failed. */
  async redrive(id: string): Promise<Upload> {
    const { uploads, disks, ledger } = this.#parts;
    const failed = await uploads.find(id);
    if (!failed || failed.state === 'deleted') throw noSuchUpload();
    if (failed.backup?.state === 'failed') return this.#backUpAgain(id);
    requireFailedRelay(failed);
    if (!failed.spool || !(await disks.spoolOf(failed.spool.node).stat(failed.spool.key)))
      throw new WindlassError('not_redrivable', 'The bytes of the upload are no longer in the spool.', { actual: failed.state });
    const queued = await ledger.update(id, (upload, now) => {
      if (upload.state === 'deleted') throw noSuchUpload();
      requireFailedRelay(upload);
      return transition(upload, 'queued', { attempts: 0, error: null }, now, 'relay');
    });
    await this.#forgetDeadJob(id);
    return queued;
  }

  async #backUpAgain(id: string): Promise<Upload> {
    const due = await this.#parts.ledger.update(id, (upload, now) => {
      if (upload.state === 'deleted') throw noSuchUpload();
      return upload.backup?.state === 'failed' ? amend(upload, { backup: dueBackup(now.now) }, now, 'backup') : null;
    });
    await this.#forgetDeadJob(id);
    return due;
  }

  /** The new job is on its way already; the old one in the dead-letter queue is only misleading. */
  async #forgetDeadJob(id: string): Promise<void> {
    try {
      await this.#parts.queue.removeDead(id);
    } catch (error) {
      this.#parts.log.warn({ err: error, uploadId: id }, 'the dead job of an upload that is tried again could not be removed');
    }
  }
}

function requireFailedRelay({ strategy, state }: Upload): void {
  if (strategy === 'relay' && state === 'failed') return;
  throw new WindlassError('not_redrivable', 'Only a relayed upload that failed can be tried again.', { expected: 'failed', actual: state });
}
