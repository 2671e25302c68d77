import type { Readable } from 'node:stream';
import type { Location, Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import type { Members } from '../members.ts';
import type { Platform } from '../platform.ts';
import type { ByteRange } from '../ports/disk.ts';
import { followMoves } from './follow-moves.ts';

type StoredContentParts = Pick<Platform, 'uploads' | 'disks' | 'store' | 'metrics' | 'log'> & {
  members: Pick<Members, 'isAway' | 'noteAway'>;
};

/** The bytes of stored uploads, wherever they are: where the record says, or else in the backup. */
export class StoredContent {
  readonly #parts: StoredContentParts;

  constructor(parts: StoredContentParts) {
    this.#parts = parts;
  }

  /** Null when there are none. Throws `node_unavailable` and `store_unavailable` when they cannot be reached. */
  async open(upload: Upload, range: ByteRange | null): Promise<Readable | null> {
    if (upload.backup?.state !== 'made') return this.#openFile(upload, range);
    const { key } = upload.backup;
    const node = upload.location?.node ?? null;
    const { members, metrics, log, store } = this.#parts;
    // Whoever waits for a server that is gone waits for seconds: not each reader anew.
    const file = node !== null && members.isAway(node) ? null : await this.#openWholeFile(upload, range, node);
    if (file) return file;
    const copy = await readFrom(store, key, range).catch((error: unknown) => {
      log.warn({ err: error, uploadId: upload.id }, 'a backup cannot be read');
      return null;
    });
    if (!copy) return this.#openFile(upload, range);
    metrics.backupReads.inc();
    log.info({ uploadId: upload.id, location: upload.location }, 'a direct file is read from its backup');
    return copy;
  }

  /** Null for a file that is away, is not there, or has another size than was recorded: the backup stands in for it. */
  async #openWholeFile(upload: Upload, range: ByteRange | null, node: string | null): Promise<Readable | null> {
    const { uploads, disks, members } = this.#parts;
    try {
      const entry = await followMoves(uploads, upload, ({ key, node: at }) => disks.directOf(at ?? '').stat(key));
      return entry?.size === upload.size ? await this.#openFile(upload, range) : null;
    } catch (error) {
      if (codeOf(error) !== 'node_unavailable') throw error;
      if (node !== null) members.noteAway(node);
      return null;
    }
  }

  #openFile(upload: Upload, range: ByteRange | null): Promise<Readable | null> {
    const { uploads, disks, store } = this.#parts;
    const read = ({ key, node }: Location) => readFrom(node === null ? store : disks.directOf(node), key, range);
    return followMoves(uploads, upload, read);
  }
}

const readFrom = (from: Pick<Platform['store'], 'read'>, key: string, range: ByteRange | null): Promise<Readable | null> =>
  range ? from.read(key, range) : from.read(key);
