import { json } from 'node:stream/consumers';
import { z } from 'zod';
import { WindlassError } from '../../../errors.ts';
import type { MultipartEntry, PartInfo } from '../../../ports/object-store.ts';
import { isSegment } from '../../disk/disk-key.ts';
import type { LocalDisk } from '../../disk/local-disk.ts';
import { writeBatches } from '../../disk/write-batches.ts';
import type { Declared, IncomingObject } from './incoming-object.ts';
import { KeyLocks } from './key-locks.ts';

const FOLDER = 'multipart';
const MANIFEST = 'manifest.json';
const PART = /\/part-(\d{5})$/;
const MAX_PARTS = 10_000;

const manifestSchema = z.object({ key: z.string(), contentType: z.string(), startedAt: z.number() });
type Manifest = z.infer<typeof manifestSchema>;

interface MultipartsParts {
  disk: LocalDisk;
  clock: () => number;
  newId: () => string;
  /** Begins the object that parts are put together in. */
  begin: (key: string, declared: Declared) => Promise<IncomingObject>;
}

/**
 * Multipart uploads: a folder each, with a manifest and a file for each part. The manifest comes first and goes last (the
 * folder is taken away in one step), so whatever has a manifest is whole. A part that is sent again replaces the earlier one.
 */
export class Multiparts {
  readonly #parts: MultipartsParts;
  readonly #locks = new KeyLocks();

  constructor(parts: MultipartsParts) {
    this.#parts = parts;
  }

  async create(key: string, contentType: string): Promise<string> {
    const multipartId = this.#parts.newId();
    const manifest: Manifest = { key, contentType, startedAt: this.#parts.clock() };
    const text = Buffer.from(JSON.stringify(manifest));
    const file = await this.#parts.disk.create(`${folderOf(multipartId)}/${MANIFEST}`, text.byteLength);
    try {
      await file.write([text]);
      await file.commit();
    } finally {
      await file.discard();
    }
    return multipartId;
  }

  /** The part, or null when the upload is not there, also when it was completed or aborted while the bytes came; then `chunks` may not be called. */
  async write(
    { key, multipartId, partNumber, size }: { key: string; multipartId: string; partNumber: number; size: number },
    chunks: () => AsyncIterable<Uint8Array>,
  ): Promise<PartInfo | null> {
    if (!(await this.#manifest(key, multipartId))) return null;
    const file = await this.#parts.disk.create(partKey(multipartId, partNumber), size);
    let received = 0;
    try {
      await writeBatches(file, chunks(), (chunk) => {
        received += chunk.byteLength;
        if (received > size) throw new WindlassError('too_large', `The part is larger than ${size} bytes.`, { limit: size });
      });
      if (received < size)
        throw new WindlassError('link_invalid', `The part has fewer than ${size} bytes.`, { expected: size, actual: received });
      return await this.#locks.run(multipartId, async () => {
        if (!(await this.#manifest(key, multipartId))) return null;
        const { etag } = await file.seal();
        await file.commit();
        return { partNumber, etag: quoted(etag), size };
      });
    } finally {
      await file.discard();
    }
  }

  async parts(key: string, multipartId: string): Promise<PartInfo[] | null> {
    if (!(await this.#manifest(key, multipartId))) return null;
    const found: PartInfo[] = [];
    for await (const { key: file, etag, size } of this.#parts.disk.list(`${folderOf(multipartId)}/`)) {
      const number = PART.exec(file)?.[1];
      if (number) found.push({ partNumber: Number(number), etag: quoted(etag), size });
    }
    return found.sort((one, other) => one.partNumber - other.partNumber);
  }

  complete(key: string, multipartId: string, listed: readonly { partNumber: number; etag: string }[]): Promise<void> {
    return this.#locks.run(multipartId, async () => {
      const manifest = await this.#manifest(key, multipartId);
      if (!manifest) throw new WindlassError('not_uploaded', 'There is no such multipart upload.');
      const parts = await this.#chosen(multipartId, listed);
      const size = parts.reduce((sum, part) => sum + part.size, 0);
      const object = await this.#parts.begin(key, { size, contentType: manifest.contentType, sha256: null });
      try {
        for (const part of parts) await this.#append(object, multipartId, part);
        await object.commit();
      } finally {
        await object.discard();
      }
      await this.#parts.disk.removeFolder(folderOf(multipartId));
    });
  }

  abort(key: string, multipartId: string): Promise<void> {
    return this.#locks.run(multipartId, async () => {
      if (await this.#manifest(key, multipartId)) await this.#parts.disk.removeFolder(folderOf(multipartId));
    });
  }

  async *list(prefix: string): AsyncIterable<MultipartEntry> {
    for await (const multipartId of this.#parts.disk.listFolders(FOLDER)) {
      const manifest = await this.#read(multipartId);
      if (manifest?.key.startsWith(prefix)) yield { key: manifest.key, multipartId, startedAt: manifest.startedAt };
    }
  }

  /** Removes the empty folders that a crash leaves when it comes before the manifest; how many. */
  async sweep(): Promise<number> {
    let count = 0;
    for await (const name of this.#parts.disk.listFolders(FOLDER)) {
      if (await this.#parts.disk.removeEmptyFolder(folderOf(name))) count += 1;
    }
    return count;
  }

  /** The listed parts in their order, as far as all of them are there with these etags. */
  async #chosen(multipartId: string, listed: readonly { partNumber: number; etag: string }[]): Promise<PartInfo[]> {
    if (listed.length === 0) throw new WindlassError('not_uploaded', 'No parts are named.');
    if (new Set(listed.map(({ partNumber }) => partNumber)).size !== listed.length)
      throw new WindlassError('not_uploaded', 'A part is named more than once.');
    const parts: PartInfo[] = [];
    for (const { partNumber, etag } of listed) {
      const found = isPartNumber(partNumber) ? await this.#parts.disk.stat(partKey(multipartId, partNumber)) : null;
      if (found?.etag !== unquoted(etag)) throw missing(partNumber, etag, found?.etag ?? null);
      parts.push({ partNumber, etag: found.etag, size: found.size });
    }
    return parts.sort((one, other) => one.partNumber - other.partNumber);
  }

  async #append(object: IncomingObject, multipartId: string, { partNumber, etag }: PartInfo): Promise<void> {
    const file = await this.#parts.disk.open(partKey(multipartId, partNumber));
    if (file?.entry.etag !== etag) {
      await file?.close();
      throw missing(partNumber, etag, file?.entry.etag ?? null);
    }
    await object.append(file.stream());
  }

  async #manifest(key: string, multipartId: string): Promise<Manifest | null> {
    const manifest = isSegment(multipartId) ? await this.#read(multipartId) : null;
    return manifest?.key === key ? manifest : null;
  }

  async #read(multipartId: string): Promise<Manifest | null> {
    const stream = await this.#parts.disk.read(`${folderOf(multipartId)}/${MANIFEST}`);
    if (!stream) return null;
    return manifestSchema.safeParse(await json(stream)).data ?? null;
  }
}

const folderOf = (multipartId: string): string => `${FOLDER}/${multipartId}`;
const partKey = (multipartId: string, partNumber: number): string => `${folderOf(multipartId)}/part-${String(partNumber).padStart(5, '0')}`;
const isPartNumber = (number: number): boolean => Number.isInteger(number) && number >= 1 && number <= MAX_PARTS;

/** Part etags are given out as they stand in an ETag header (so does S3 list them), and taken back with or without the quotes. */
const quoted = (etag: string): string => `"${etag}"`;
const unquoted = (etag: string): string => etag.replace(/^"(.*)"$/, '$1');

const missing = (partNumber: number, expected: string, actual: string | null): WindlassError =>
  new WindlassError('not_uploaded', `Part ${partNumber} is ${actual === null ? 'missing' : 'another one than was named'}.`, {
    expected,
    actual,
  });
