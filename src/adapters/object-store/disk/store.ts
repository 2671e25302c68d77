import { addAbortSignal, type Readable } from 'node:stream';
import { codeOf, WindlassError } from '../../../errors.ts';
import type { ByteRange } from '../../../ports/disk.ts';
import type { MultipartEntry, ObjectInfo, ObjectSource, ObjectStore, PartInfo } from '../../../ports/object-store.ts';
import { LocalDisk, type LocalDiskOptions } from '../../disk/local-disk.ts';
import type { FileEntry, StoredFile } from '../../disk/stored-file.ts';
import type { UnfinishedFile } from '../../disk/unfinished-file.ts';
import { type Declared, IncomingObject } from './incoming-object.ts';
import { KeyLocks } from './key-locks.ts';
import { Multiparts } from './multiparts.ts';
import { Sidecars } from './sidecars.ts';
import { orUnavailable } from './unavailable.ts';

/** An object with its file held open, so that what is said of it is true of what is read from it. */
export interface OpenObject {
  info: ObjectInfo;
  file: StoredFile;
}

/**
 * The embedded object store: a folder of whole files (`objects`), what is known of them (`meta`) and multipart uploads
 * under way (`multipart`). One process has it to itself. Files are never changed in place, only put in the place of others.
 */
export class DiskObjectStore implements ObjectStore {
  readonly name = 'disk';
  readonly bucket = 'uploads';
  readonly #disk: LocalDisk;
  readonly #sidecars: Sidecars;
  readonly #multiparts: Multiparts;
  readonly #locks = new KeyLocks();

  constructor({ clock, ...options }: LocalDiskOptions & { clock: () => number }) {
    this.#disk = new LocalDisk(options);
    this.#sidecars = new Sidecars(this.#disk);
    this.#multiparts = new Multiparts({
      disk: this.#disk,
      clock,
      newId: options.newId,
      begin: (key, declared) => this.begin(key, declared),
    });
  }

  put(key: string, source: ObjectSource, signal?: AbortSignal): Promise<ObjectInfo> {
    return orUnavailable(async () => {
      signal?.throwIfAborted();
      const there = await this.head(key);
      if (there && there.sha256 === source.sha256 && there.size === source.size) return there;
      const object = await this.begin(key, source);
      try {
        const bytes = await source.open();
        await object.append(signal ? addAbortSignal(signal, bytes) : bytes);
        return await object.commit();
      } catch (error) {
        if (codeOf(error) !== 'too_large') throw error;
        throw new WindlassError('digest_mismatch', 'There are more bytes than were declared.', { expected: source.size });
      } finally {
        await object.discard();
      }
    });
  }

  head(key: string): Promise<ObjectInfo | null> {
    return orUnavailable(async () => {
      const entry = await this.#disk.stat(pathOf(key));
      return entry && this.#describe(key, entry);
    });
  }

  read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable | null> {
    return orUnavailable(async () => {
      signal?.throwIfAborted();
      const bytes = await this.#disk.read(pathOf(key), range);
      return bytes && signal ? addAbortSignal(signal, bytes) : bytes;
    });
  }

  /** A second name for the same bytes (a hard link): later objects under `from` are other files. Copies where there are no links. */
  freeze(from: string, to: string, etag: string): Promise<ObjectInfo | null> {
    return orUnavailable(() => this.#locks.run(to, () => this.#freeze(from, to, etag)));
  }

  remove(key: string): Promise<void> {
    return orUnavailable(() =>
      this.#locks.run(key, async () => {
        await this.#disk.remove(pathOf(key));
        await this.#sidecars.remove(key);
      }),
    );
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    for await (const entry of this.#disk.list(pathOf(prefix))) yield this.#describe(entry.key.slice(OBJECTS.length), entry);
  }

  createMultipart(key: string, contentType: string): Promise<string> {
    return orUnavailable(() => this.#multiparts.create(key, contentType));
  }

  listParts(key: string, multipartId: string): Promise<PartInfo[] | null> {
    return orUnavailable(() => this.#multiparts.parts(key, multipartId));
  }

  completeMultipart(key: string, multipartId: string, parts: readonly { partNumber: number; etag: string }[]): Promise<void> {
    return orUnavailable(() => this.#multiparts.complete(key, multipartId, parts));
  }

  abortMultipart(key: string, multipartId: string): Promise<void> {
    return orUnavailable(() => this.#multiparts.abort(key, multipartId));
  }

  listMultiparts(prefix: string): AsyncIterable<MultipartEntry> {
    return this.#multiparts.list(prefix);
  }

  /** For the signed links: takes bytes as they arrive. Throws `spool_full`. The caller commits, and discards in any case. */
  async begin(key: string, declared: Declared): Promise<IncomingObject> {
    const file = await this.#disk.create(pathOf(key), declared.size);
    return new IncomingObject(file, declared, (...placed) => this.#locks.run(key, () => this.#place(key, ...placed)));
  }

  /** For the signed links: takes one part; its etag, or null when there is no such multipart upload (any more). */
  writePart(terms: { key: string; multipartId: string; partNumber: number; size: number }, chunks: () => AsyncIterable<Uint8Array>) {
    return this.#multiparts.write(terms, chunks);
  }

  /** For the signed links. The caller streams the file or closes it. */
  async open(key: string): Promise<OpenObject | null> {
    const file = await this.#disk.open(pathOf(key));
    if (!file) return null;
    try {
      return { info: await this.#describe(key, file.entry), file };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Removes what a crash left behind and nothing owns, last touched before `before` (epoch ms); how many. */
  async sweep(before: number): Promise<number> {
    let count = (await this.#disk.sweepUnfinished(before, true)) + (await this.#multiparts.sweep());
    for await (const key of this.#sidecars.keys(before)) {
      count += await this.#locks.run(key, async () => {
        if (await this.#disk.stat(pathOf(key))) return 0;
        await this.#sidecars.remove(key);
        return 1;
      });
    }
    return count;
  }

  async #place(key: string, file: UnfinishedFile, contentType: string | null, sha256: string): Promise<ObjectInfo> {
    const { etag, size, modifiedAt } = await file.seal();
    const replaced = await this.#disk.stat(pathOf(key));
    await this.#sidecars.announce(key, { etag, size, contentType, sha256 }, replaced?.etag ?? null);
    await file.commit();
    return { key, size, contentType, etag, sha256, modifiedAt };
  }

  async #freeze(from: string, to: string, etag: string): Promise<ObjectInfo | null> {
    const there = await this.head(to);
    if (there) return there;
    const source = await this.head(from);
    if (source?.etag !== etag) return null;
    const { size, contentType, sha256 } = source;
    if (sha256 !== null) await this.#sidecars.announce(to, { etag, size, contentType, sha256 }, null);
    const outcome = await this.#disk.link(pathOf(from), pathOf(to), etag);
    if (outcome === 'unsupported') return this.#copy(source, to);
    if (outcome === 'linked') return { ...source, key: to };
    if (outcome === 'exists') return this.head(to);
    await this.#sidecars.remove(to);
    return null;
  }

  /** The copy of a file, read from the very one that was checked. The lock on `to` is held. */
  async #copy({ key, size, contentType, sha256, etag }: ObjectInfo, to: string): Promise<ObjectInfo | null> {
    const file = await this.#disk.create(pathOf(to), size);
    const copy = new IncomingObject(file, { size, contentType, sha256 }, (...placed) => this.#place(to, ...placed));
    try {
      const from = await this.#disk.open(pathOf(key));
      if (from?.entry.etag !== etag) {
        await from?.close();
        return null;
      }
      await copy.append(from.stream());
      return await copy.commit();
    } finally {
      await copy.discard();
    }
  }

  async #describe(key: string, { size, etag, modifiedAt }: FileEntry): Promise<ObjectInfo> {
    const known = await this.#sidecars.find(key, etag);
    return { key, size, etag, modifiedAt, contentType: known?.contentType ?? null, sha256: known?.sha256 ?? null };
  }
}

const OBJECTS = 'objects/';
const pathOf = (key: string): string => OBJECTS + key;
