import { transition } from '../core/upload.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import { noSuchUpload } from './find-upload.ts';
import { removeBytes } from './removal.ts';

type DeletionParts = Pick<Platform, 'disks' | 'store' | 'queue' | 'log'> & { ledger: Ledger };

/** Deletes an upload in whatever state it is. */
export class Deletion {
  readonly #parts: DeletionParts;

  constructor(parts: DeletionParts) {
    this.#parts = parts;
  }

  /**
   * From the moment the record says so the upload is gone and no worker can commit. Its bytes go at once where that is
   * possible, or with the reconciler: the record goes on saying where they are. Throws `not_found` the second time.
   */
  async delete(id: string): Promise<void> {
    const { ledger, queue, log } = this.#parts;
    const upload = await ledger.update(id, (current, now) => {
      if (current.state === 'deleted') throw noSuchUpload();
      return transition(current, 'deleted', {}, now);
    });
    const removals = await Promise.allSettled([removeBytes(this.#parts, upload), queue.removeDead(id)]);
    for (const removal of removals)
      if (removal.status === 'rejected')
        log.warn(
          { err: removal.reason, uploadId: id },
          'what belonged to a deleted upload could not be removed; the reconciler will do it',
        );
  }
}
