import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { copyKeyOf } from '../core/keys.ts';
import { amend, type Location, type Move, type Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import { whileLeased } from '../leased.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { Throttle } from './throttle.ts';

export type MoverParts = Pick<Platform, 'uploads' | 'disks' | 'store' | 'config' | 'clock' | 'newId' | 'log'> & {
  ledger: Ledger;
  throttle: Throttle;
};

/**
 * How a move ended. `busy`: somebody else moves the file. `changed`: it was deleted, moved or touched meanwhile. `away`,
 * `full`: the server that should get it does not answer, or has no room. `unreachable`: the one that has it does not answer.
 * `damaged`: the bytes are not those that were recorded, and stay.
 */
export const MOVE_OUTCOMES = ['moved', 'busy', 'changed', 'away', 'full', 'unreachable', 'damaged', 'failed'] as const;
export type MoveOutcome = (typeof MOVE_OUTCOMES)[number];

/** A stored upload on the disk of a server. */
export interface PlacedUpload extends Upload {
  location: Location & { node: string };
}

/**
 * Moves direct files between servers. The record first says that a copy is being made, and under which name, then the copy
 * is made, compared and flushed, then the record says that the copy is the file, and only then the old one is removed.
 * Whatever happens in between, the record names a whole file, and what it does not name belongs to nobody.
 */
export class Mover {
  readonly #parts: MoverParts;

  constructor(parts: MoverParts) {
    this.#parts = parts;
  }

  /** Throws `repository_unavailable`, and the signal's reason when it is aborted. */
  async move(upload: PlacedUpload, to: string, signal: AbortSignal): Promise<MoveOutcome> {
    const { clock, newId } = this.#parts;
    if (upload.lease && upload.lease.expiresAt > clock()) return 'busy';
    const copy = { node: to, key: copyKeyOf(upload.location.key, newId().slice(-12)) };
    const claimed = await this.#claim(upload, copy);
    if (!claimed) return 'changed';
    try {
      await whileLeased(this.#parts, claimed, (leased) => this.#copy(upload, copy, leased), signal);
    } catch (error) {
      await this.#giveUp(claimed, copy);
      signal.throwIfAborted();
      return this.#outcomeOf(error, upload, to);
    }
    if (!(await this.#switch(claimed, copy))) {
      await this.#remove(copy);
      return 'changed';
    }
    await this.#remove(upload.location);
    return 'moved';
  }

  /** Takes back what a move that was broken off says in the record; the copy is then the reconciler's. */
  async forget(upload: PlacedUpload): Promise<void> {
    if (!upload.move || (upload.lease && upload.lease.expiresAt > this.#parts.clock())) return;
    await this.#parts.ledger.amend(upload, { move: null, lease: null });
  }

  /** The record with our lease and what we are about to do; null when it has moved on. */
  #claim(upload: PlacedUpload, move: Move): Promise<Upload | null> {
    const { ledger, config, clock, newId } = this.#parts;
    const lease = { token: newId(), expiresAt: clock() + config.LEASE_SECONDS * 1000 };
    return ledger.amend(upload, { move, lease });
  }

  async #copy(upload: PlacedUpload, copy: Move, signal: AbortSignal): Promise<void> {
    const { size, sha256 } = upload;
    const bytes = await this.#open(upload);
    if (!bytes) throw new DamagedError('nothing is there');
    try {
      const file = await this.#parts.disks.directOf(copy.node).create(copy.key, size);
      try {
        const hash = createHash('sha256');
        for await (const chunk of fromSource(bytes)) {
          await this.#parts.throttle.take(chunk.length, signal);
          hash.update(chunk);
          await file.write([chunk]);
        }
        const digest = hash.digest('hex');
        if (file.size !== size || digest !== sha256) throw new DamagedError(`${file.size} bytes with the SHA-256 ${digest}`);
        signal.throwIfAborted();
        await file.commit(digest);
      } catch (error) {
        await file.discard();
        throw error;
      }
    } finally {
      bytes.destroy();
    }
  }

  /** The file; or its backup, where it is gone or its server does not answer: so a server that is lost can be drained, too. */
  async #open({ location, backup }: PlacedUpload): Promise<Readable | null> {
    const { disks, store } = this.#parts;
    const file = disks.directOf(location.node).read(location.key);
    if (backup?.state !== 'made') return file.catch(unreachable);
    const there = await file.catch((error: unknown) => {
      if (codeOf(error) !== 'node_unavailable') throw error;
      return null;
    });
    return there ?? store.read(backup.key);
  }

  /** False when the file was deleted meanwhile, or the lease is somebody else's by now. */
  async #switch(claimed: Upload, { node, key }: Move): Promise<boolean> {
    const location = { store: 'disk', bucket: null, key, node } as const;
    return this.#update(claimed, { location, move: null, lease: null });
  }

  async #giveUp(claimed: Upload, copy: Move): Promise<void> {
    try {
      if (await this.#update(claimed, { move: null, lease: null })) await this.#remove(copy);
    } catch (error) {
      this.#parts.log.warn({ err: error, uploadId: claimed.id }, 'a move that failed could not be taken back; it runs out by itself');
    }
  }

  /** False if the lease is not ours any more. */
  async #update(claimed: Upload, fields: Parameters<typeof amend>[1]): Promise<boolean> {
    return (await this.#parts.ledger.updateHeld(claimed, (current, now) => amend(current, fields, now))) !== null;
  }

  /** What cannot be removed now is the reconciler's. */
  async #remove({ node, key }: Pick<PlacedUpload['location'], 'node' | 'key'>): Promise<void> {
    await this.#parts.disks
      .directOf(node)
      .remove(key)
      .catch((err: unknown) => this.#parts.log.info({ err, node, key }, 'a file that nobody needs any more is left to the reconciler'));
  }

  #outcomeOf(error: unknown, { id: uploadId, location }: PlacedUpload, to: string): MoveOutcome {
    const about = { err: error, uploadId, location, to };
    const code = codeOf(error);
    if (error instanceof UnreachableError) return 'unreachable';
    if (code === 'node_unavailable') return 'away';
    if (code === 'spool_full') return 'full';
    if (code === 'repository_unavailable') throw error;
    if (error instanceof DamagedError) {
      this.#parts.log.error(about, 'a direct file is not what was recorded; it stays where it is');
      return 'damaged';
    }
    this.#parts.log.warn(about, 'a direct file could not be moved');
    return 'failed';
  }
}

class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
}

function unreachable(error: unknown): never {
  throw codeOf(error) === 'node_unavailable'
    ? new UnreachableError('the server that has the file does not answer', { cause: error })
    : error;
}

/** The bytes; what goes wrong with them is told apart from what goes wrong where they are written. */
async function* fromSource(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* bytes;
  } catch (error) {
    unreachable(error);
  }
}

class DamagedError extends Error {
  override readonly name = 'DamagedError';
}
