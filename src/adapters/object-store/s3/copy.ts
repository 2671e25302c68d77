import { CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import { codeOf } from '../../../errors.ts';
import type { ObjectInfo } from '../../../ports/object-store.ts';
import { inParallel } from './concurrency.ts';
import type { S3Connection } from './connection.ts';
import { within } from './deadline.ts';
import { ABSENT, NOT_IMPLEMENTED, refusalOf, TAKEN, unavailable } from './failure.ts';
import type { Multiparts } from './multiparts.ts';
import { quoted } from './notation.ts';
import type { Found, Objects } from './objects.ts';
import { cut, type Part } from './part-digests.ts';

interface CopyParts {
  connection: S3Connection;
  objects: Objects;
  multiparts: Multiparts;
  /** Largest object that one request copies, in bytes. */
  singleCopyBytes: number;
  /** Bytes that one request copies of a larger one. */
  partBytes: number;
  concurrency: number;
}

/** The source changed or is gone, or the target is there already; some stores call the last a conflict. */
const LOST = new Set([...TAKEN, ...ABSENT]);

/** Copies inside the store, under the condition that the source still is the object that was looked at. */
export class Copy {
  readonly #parts: CopyParts;
  /** False for a store that cannot refuse to overwrite: then the look at the target before has to do. */
  #knowsFresh = true;

  constructor(parts: CopyParts) {
    this.#parts = parts;
  }

  /** What is under `to` afterwards, whoever copied it first; null when the source is gone or has another etag. */
  async freeze(from: string, to: string, etag: string): Promise<ObjectInfo | null> {
    const { objects, singleCopyBytes } = this.#parts;
    const there = await objects.find(to);
    if (there) return there.info;
    const source = await objects.find(from);
    if (!source) return objects.mustBeAbsent(from);
    if (source.info.etag !== quoted(etag)) return null;
    try {
      if (source.info.size <= singleCopyBytes) await this.#whole(source, to);
      else await this.#inParts(source, to);
    } catch (error) {
      if (LOST.has(refusalOf(error)?.code ?? '')) return objects.head(to);
      // The SDK may have put the parts together, not heard of it, and tried again.
      if (codeOf(error) !== 'not_uploaded') throw error;
    }
    return this.#check(source, to);
  }

  /** A store may answer a copy with success and yet not have it in full. */
  async #check({ info: { size } }: Found, to: string): Promise<ObjectInfo> {
    const copy = await this.#parts.objects.head(to);
    if (copy?.size === size) return copy;
    throw unavailable('The object store made a copy but does not have it in full.');
  }

  /** With SHA-256 asked for, the store makes it while it copies: nobody has to read the object for it. */
  async #whole({ info: { key, etag } }: Found, to: string): Promise<void> {
    const { connection } = this.#parts;
    await this.#fresh((condition) => {
      const command = new CopyObjectCommand({
        Bucket: connection.bucket,
        Key: to,
        CopySource: this.#sourceOf(key),
        CopySourceIfMatch: etag,
        ChecksumAlgorithm: 'SHA256',
        ...condition,
      });
      return within(connection.timeouts.workMs, (abortSignal) => connection.patient.send(command, { abortSignal }));
    });
  }

  async #inParts({ info, metadata }: Found, to: string): Promise<void> {
    const { multiparts, concurrency, partBytes } = this.#parts;
    const type = info.contentType === null ? {} : { ContentType: info.contentType };
    const parts = cut(info.size, partBytes);
    const multipartId = await multiparts.create(to, { ...type, Metadata: metadata });
    try {
      const copied = await inParallel(parts, concurrency, undefined, async (part, signal) => {
        const etag = await this.#part({ to, multipartId, part }, info, signal);
        return { partNumber: part.partNumber, etag };
      });
      await this.#fresh((condition) => multiparts.complete(to, multipartId, copied, { fresh: 'IfNoneMatch' in condition }));
    } catch (error) {
      await multiparts.abort(to, multipartId).catch(() => undefined);
      throw error;
    }
  }

  async #part(
    { to, multipartId, part }: { to: string; multipartId: string; part: Part },
    { key, etag }: ObjectInfo,
    signal: AbortSignal,
  ): Promise<string> {
    const { patient, bucket: Bucket, timeouts } = this.#parts.connection;
    const command = new UploadPartCopyCommand({
      Bucket,
      Key: to,
      UploadId: multipartId,
      PartNumber: part.partNumber,
      CopySource: this.#sourceOf(key),
      CopySourceIfMatch: etag,
      CopySourceRange: `bytes=${part.start}-${part.end}`,
    });
    const { CopyPartResult } = await within(timeouts.workMs, (abortSignal) => patient.send(command, { abortSignal }), signal);
    return quoted(CopyPartResult?.ETag);
  }

  async #fresh<T>(copy: (condition: { IfNoneMatch?: '*' }) => Promise<T>): Promise<T> {
    if (!this.#knowsFresh) return copy({});
    try {
      return await copy({ IfNoneMatch: '*' });
    } catch (error) {
      if (refusalOf(error)?.status !== NOT_IMPLEMENTED) throw error;
      this.#knowsFresh = false;
      return copy({});
    }
  }

  #sourceOf(key: string): string {
    return `${this.#parts.connection.bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
  }
}
