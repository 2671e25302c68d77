import type { Readable } from 'node:stream';
import { isWindlassError } from '../../../errors.ts';
import type { ByteRange } from '../../../ports/disk.ts';
import type { MultipartEntry, ObjectInfo, ObjectSource, ObjectStore, PartInfo } from '../../../ports/object-store.ts';
import type { Provisioned, ProvisionStep } from '../../../ports/provision.ts';
import type { S3Connection } from './connection.ts';
import { Copy } from './copy.ts';
import { eachOrUnavailable, NOT_IMPLEMENTED, orUnavailable, refusalOf, TAKEN, unavailable } from './failure.ts';
import { Multiparts } from './multiparts.ts';
import { holds, Objects } from './objects.ts';
import { type ProvisionTerms, provision } from './provision.ts';
import { Upload } from './upload.ts';

const MIB = 1024 ** 2;

/** Sizes in bytes. The defaults are S3's own limits for one request. */
interface Limits {
  /** Largest object that is sent by one request. */
  singlePutBytes: number;
  /** Parts that larger ones are sent in. */
  putPartBytes: number;
  /** Largest object that is copied by one request. */
  singleCopyBytes: number;
  copyPartBytes: number;
}

const LIMITS: Limits = {
  singlePutBytes: 5 * 1024 * MIB,
  putPartBytes: 64 * MIB,
  singleCopyBytes: 5 * 1024 * MIB,
  copyPartBytes: 512 * MIB,
};
/** Up to this size an object is sent without a look whether it is there: that would take as long as sending it in vain. */
const UNSEEN_BYTES = MIB;
/** Parts of one object that are on their way at once. */
const CONCURRENCY = 4;

export interface S3ObjectStoreOptions {
  connection: S3Connection;
  clock: () => number;
  provisioning: ProvisionTerms;
  limits?: Partial<Limits>;
}

/** The object store on S3 and on everything that speaks its protocol. */
export class S3ObjectStore implements ObjectStore, Provisioned {
  readonly name = 's3';
  readonly bucket: string;
  readonly #clock: () => number;
  readonly #limits: Limits;
  readonly #objects: Objects;
  readonly #multiparts: Multiparts;
  readonly #upload: Upload;
  readonly #copy: Copy;
  readonly #provision: () => Promise<ProvisionStep[]>;
  /** False for a store that cannot refuse to overwrite. */
  #knowsFresh = true;

  constructor({ connection, clock, provisioning, limits }: S3ObjectStoreOptions) {
    this.bucket = connection.bucket;
    this.#clock = clock;
    this.#limits = { ...LIMITS, ...limits };
    const objects = new Objects(connection);
    const multiparts = new Multiparts(connection);
    const { putPartBytes, copyPartBytes, singleCopyBytes } = this.#limits;
    const concurrency = CONCURRENCY;
    this.#objects = objects;
    this.#multiparts = multiparts;
    this.#upload = new Upload({ connection, objects, multiparts, partBytes: putPartBytes, concurrency });
    this.#copy = new Copy({ connection, objects, multiparts, singleCopyBytes, partBytes: copyPartBytes, concurrency });
    this.#provision = () => provision(connection, provisioning);
  }

  put(key: string, source: ObjectSource, signal?: AbortSignal): Promise<ObjectInfo> {
    return orUnavailable(async () => {
      signal?.throwIfAborted();
      const unseen = this.#knowsFresh && source.size <= UNSEEN_BYTES ? await this.#putUnseen(key, source, signal) : null;
      if (unseen) return unseen;
      const there = await this.#objects.find(key);
      if (there && holds(there, source)) return there.info;
      return source.size > this.#limits.singlePutBytes ? this.#putInParts(key, source, signal) : this.#putWhole(key, source, { signal });
    }, signal);
  }

  head(key: string): Promise<ObjectInfo | null> {
    return orUnavailable(() => this.#objects.head(key));
  }

  read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable | null> {
    return orUnavailable(() => this.#objects.read(key, range, signal), signal);
  }

  freeze(from: string, to: string, etag: string): Promise<ObjectInfo | null> {
    return orUnavailable(() => this.#copy.freeze(from, to, etag));
  }

  remove(key: string): Promise<void> {
    return orUnavailable(() => this.#objects.remove(key));
  }

  list(prefix: string): AsyncIterable<ObjectInfo> {
    return eachOrUnavailable(this.#objects.list(prefix));
  }

  createMultipart(key: string, contentType: string): Promise<string> {
    return orUnavailable(() => this.#multiparts.create(key, { ContentType: contentType }));
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
    return eachOrUnavailable(this.#multiparts.list(prefix));
  }

  provision(): Promise<ProvisionStep[]> {
    return orUnavailable(() => this.#provision());
  }

  /** By one request, which the store refuses where there is an object already. Null when it has, or cannot. */
  async #putUnseen(key: string, source: ObjectSource, signal?: AbortSignal): Promise<ObjectInfo | null> {
    try {
      return await this.#putWhole(key, source, { fresh: true, signal });
    } catch (error) {
      if (signal?.aborted || isWindlassError(error)) throw error;
      const refusal = refusalOf(error);
      if (refusal?.status === NOT_IMPLEMENTED) this.#knowsFresh = false;
      else if (!refusal) return this.#sentBefore(key, source, error);
      else if (!TAKEN.has(refusal.code)) throw error;
      return null;
    }
  }

  /** A store that wants no body need not read it: the connection may break before the refusal is heard. */
  async #sentBefore(key: string, source: ObjectSource, error: unknown): Promise<ObjectInfo> {
    const there = await this.#objects.find(key).catch(() => null);
    if (there && holds(there, source)) return there.info;
    throw error;
  }

  async #putWhole(key: string, source: ObjectSource, options: { fresh?: boolean; signal?: AbortSignal | undefined }): Promise<ObjectInfo> {
    const { size, contentType, sha256 } = source;
    const { etag, digestKept } = await this.#upload.whole(key, source, options);
    return { key, size, contentType, etag, sha256: digestKept ? sha256 : null, modifiedAt: this.#clock() };
  }

  async #putInParts(key: string, source: ObjectSource, signal?: AbortSignal): Promise<ObjectInfo> {
    await this.#upload.inParts(key, source, signal);
    const info = await this.#objects.head(key);
    if (info?.size === source.size) return info;
    throw unavailable('The object store took all parts but does not have the object in full.');
  }
}
