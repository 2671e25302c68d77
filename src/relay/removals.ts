import type { Platform } from '../platform.ts';

/** How long the message that a job has begun waits for the one that it has ended. Much shorter than the sweep's patience. Milliseconds. */
const LINGER_MS = 400;

interface Lingering {
  messageIds: string[];
  timer: NodeJS.Timeout;
}

/**
 * Takes published messages out of their records. Whoever holds a lease changes the record again in a moment: what is
 * published of its beginning goes out together with what is published of its end, which saves the database an update.
 */
export class Removals {
  readonly #parts: Pick<Platform, 'uploads' | 'log'>;
  readonly #lingering = new Map<string, Lingering>();
  readonly #underWay = new Set<Promise<boolean>>();

  constructor(parts: Pick<Platform, 'uploads' | 'log'>) {
    this.#parts = parts;
  }

  /** With the next ones of the upload, or by themselves soon. */
  later(uploadId: string, messageIds: readonly string[]): void {
    const all = [...this.#taken(uploadId), ...messageIds];
    const timer = setTimeout(() => void this.now(uploadId, []), LINGER_MS);
    this.#lingering.set(uploadId, { messageIds: all, timer });
  }

  /** With those that linger. False when they could not be taken out: then they will be published again. */
  now(uploadId: string, messageIds: readonly string[]): Promise<boolean> {
    const removing = this.#remove(uploadId, [...this.#taken(uploadId), ...messageIds]);
    this.#underWay.add(removing);
    void removing.then(() => this.#underWay.delete(removing));
    return removing;
  }

  /** Resolves when nothing lingers any more. */
  async flush(): Promise<void> {
    for (const uploadId of [...this.#lingering.keys()]) void this.now(uploadId, []);
    await Promise.all(this.#underWay);
  }

  #taken(uploadId: string): string[] {
    const found = this.#lingering.get(uploadId);
    if (!found) return [];
    clearTimeout(found.timer);
    this.#lingering.delete(uploadId);
    return found.messageIds;
  }

  async #remove(uploadId: string, messageIds: readonly string[]): Promise<boolean> {
    if (messageIds.length === 0) return true;
    const { uploads, log } = this.#parts;
    try {
      await uploads.removeMessages(uploadId, messageIds);
      return true;
    } catch (error) {
      log.warn({ err: error, uploadId }, 'published messages could not be taken out; they will be published again');
      return false;
    }
  }
}
