import { isSameFile, isUploadId, parseKey } from '../core/keys.ts';
import type { ResourceRef, Upload } from '../core/upload.ts';
import { type FieldError, isWindlassError, WindlassError } from '../errors.ts';
import type { Platform } from '../platform.ts';
import type { Completion } from './completion.ts';
import { sameResource } from './conclusion.ts';
import { noSuchUpload } from './find-upload.ts';
import { followMoves } from './follow-moves.ts';

/** How a client names an upload: by its id, its object's key, or the address of its content. Exactly one of the three. */
export interface UploadReference {
  id?: string | undefined;
  key?: string | undefined;
  url?: string | undefined;
}

type Parts = Pick<Platform, 'uploads' | 'store' | 'disks'> & { completion: Pick<Completion, 'complete'> };

const AT_ONCE = 16;
const CONTENT_PATH = /\/v1\/uploads\/([^/]+)\/content$/;

/** Finds the uploads that a resource shall have among the tenant's own records, and makes sure that their bytes are there. */
export class References {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Ids of the uploads, each once, in the order given. Pending ones are completed on the way, and stay stored whatever
   * comes of the others. Throws `resource_uploads_invalid` with an entry for each that cannot be linked.
   */
  async check(tenant: string, resource: ResourceRef, references: readonly UploadReference[]): Promise<string[]> {
    const ids = references.map(idOf);
    const found = await this.#parts.uploads.findMany([...new Set(ids.filter((id) => id !== null))]);
    const own = new Map(found.filter((upload) => upload.tenant === tenant).map((upload) => [upload.id, upload]));
    const problems = await this.#problems([...own.values()], resource);
    const errors = references.flatMap((reference, index): FieldError[] => {
      const upload = own.get(ids[index] ?? '');
      const problem = upload && names(reference, upload) ? problems.get(upload.id) : noSuchUpload();
      return problem ? [{ pointer: `/uploads/${index}`, code: problem.code, detail: problem.detail }] : [];
    });
    if (errors.length > 0)
      throw new WindlassError('resource_uploads_invalid', `${errors.length} of ${references.length} uploads cannot be linked.`, { errors });
    return [...own.keys()].sort((a, b) => ids.indexOf(a) - ids.indexOf(b));
  }

  async #problems(uploads: readonly Upload[], resource: ResourceRef): Promise<Map<string, WindlassError>> {
    const problems = new Map<string, WindlassError>();
    for (let from = 0; from < uploads.length; from += AT_ONCE) {
      const batch = uploads.slice(from, from + AT_ONCE);
      await Promise.all(
        batch.map(async (upload) => {
          const problem = await this.#problemOf(upload, resource);
          if (problem) problems.set(upload.id, problem);
        }),
      );
    }
    return problems;
  }

  /** Null when the upload can be linked. Throws what may pass: then nothing can be said about the upload. */
  async #problemOf(upload: Upload, resource: ResourceRef): Promise<WindlassError | null> {
    try {
      if (upload.state === 'deleted') return noSuchUpload();
      const current = upload.strategy === 'presign' && upload.state !== 'stored' ? await this.#complete(upload, resource) : upload;
      if (current.state !== 'stored') return notStored(`The upload is ${current.state}.`);
      return current === upload ? await this.#missingBytes(current) : null;
    } catch (error) {
      if (isWindlassError(error) && error.status < 500) return error;
      throw error;
    }
  }

  /** An upload made for this very resource is linked with the others, or not at all. */
  #complete(upload: Upload, resource: ResourceRef): Promise<Upload> {
    return this.#parts.completion.complete(upload, sameResource(upload.resource, resource) ? { resource: null } : {});
  }

  async #missingBytes(upload: Upload): Promise<WindlassError | null> {
    const { store, disks, uploads } = this.#parts;
    const { size } = upload;
    const there = await followMoves(uploads, upload, ({ key, node }) => (node === null ? store.head(key) : disks.directOf(node).stat(key)));
    if (!there) return notStored('The store no longer has the bytes.');
    if (there.size === size) return null;
    return new WindlassError('size_mismatch', `The store has ${there.size} bytes; ${size} were recorded.`);
  }
}

function idOf({ id, key, url }: UploadReference): string | null {
  if (id !== undefined) return isUploadId(id) ? id : null;
  if (key !== undefined) return parseKey(key)?.id ?? null;
  const path = url === undefined ? undefined : URL.parse(url)?.pathname;
  const inPath = path ? CONTENT_PATH.exec(path)?.[1] : undefined;
  return inPath && isUploadId(inPath) ? inPath : null;
}

/** A key has to be one that the upload has or had: its object's (a file that was moved has got a new one), or the one that its links write to. */
const names = ({ key }: UploadReference, { location, staging }: Upload): boolean =>
  key === undefined || (location !== null && isSameFile(key, location.key)) || key === staging?.key;

const notStored = (detail: string): WindlassError => new WindlassError('not_stored', detail);
