import { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { codeOf } from '../../../errors.ts';
import type { ObjectSource } from '../../../ports/object-store.ts';
import { CheckedSender, type Send, type Sent } from './checked-sender.ts';
import { inParallel } from './concurrency.ts';
import type { S3Connection } from './connection.ts';
import { refusalOf, unavailable } from './failure.ts';
import type { ChosenPart, Multiparts } from './multiparts.ts';
import { base64Of } from './notation.ts';
import { metadataOf, type Objects } from './objects.ts';
import { cut, digestsOf, type Part } from './part-digests.ts';

interface UploadParts {
  connection: S3Connection;
  objects: Objects;
  multiparts: Multiparts;
  /** Bytes of a part, unless there would be too many of them. */
  partBytes: number;
  /** Parts of one object that are sent at once. */
  concurrency: number;
}

/** Sends whole objects: by one request, or in parts where S3 takes no request that large. */
export class Upload {
  readonly #deps: UploadParts;
  readonly #wholes: CheckedSender;
  readonly #pieces: CheckedSender;

  constructor(deps: UploadParts) {
    this.#deps = deps;
    this.#wholes = new CheckedSender(deps.connection);
    this.#pieces = new CheckedSender(deps.connection);
  }

  /** With `fresh` an object that is there already is left, and the store refuses. */
  async whole(
    key: string,
    source: ObjectSource,
    { fresh = false, signal }: { fresh?: boolean; signal?: AbortSignal | undefined },
  ): Promise<Sent> {
    const { connection, objects } = this.#deps;
    const { size: ContentLength, contentType: ContentType, sha256 } = source;
    const condition = fresh ? { IfNoneMatch: '*' } : {};
    const fields = { Bucket: connection.bucket, Key: key, ContentLength, ContentType, Metadata: metadataOf(source), ...condition };
    const send: Send = (client, Body, abortSignal) =>
      client.send(new PutObjectCommand({ ...fields, Body, ChecksumSHA256: base64Of(sha256) }), { abortSignal });
    const sent = await this.#wholes.send(source, null, signal, send);
    if (sent.checked) return sent;
    await objects.remove(key);
    throw unavailable(UNCHECKED);
  }

  /**
   * The bytes are read twice: the digest of a multipart object is none of the whole, so that is made before anything is
   * sent, together with those of the parts.
   */
  async inParts(key: string, source: ObjectSource, signal?: AbortSignal): Promise<void> {
    const { multiparts, partBytes } = this.#deps;
    const parts = cut(source.size, partBytes);
    const digests = await digestsOf(source, parts, signal);
    await this.#abortEarlier(key);
    const fields = { ContentType: source.contentType, Metadata: metadataOf(source), ChecksumAlgorithm: 'SHA256' as const };
    const multipartId = await multiparts.create(key, fields);
    try {
      await multiparts.complete(key, multipartId, await this.#parts({ key, multipartId, parts, digests }, source, signal));
    } catch (error) {
      // Should this fail too, the next try or the bucket's lifecycle rule removes the parts.
      await multiparts.abort(key, multipartId).catch(() => undefined);
      if (codeOf(error) !== 'not_uploaded' && refusalOf(error)?.code !== 'NoSuchUpload') throw error;
      throw unavailable('The parts were gone before they were put together.', error);
    }
  }

  /** What a try that crashed has left: keys of this kind are written by one worker at a time. */
  async #abortEarlier(key: string): Promise<void> {
    const { multiparts } = this.#deps;
    for await (const { key: found, multipartId } of multiparts.list(key)) if (found === key) await multiparts.abort(key, multipartId);
  }

  #parts(
    { key, multipartId, parts, digests }: { key: string; multipartId: string; parts: Part[]; digests: string[] },
    source: ObjectSource,
    outer: AbortSignal | undefined,
  ): Promise<ChosenPart[]> {
    const place = { Bucket: this.#deps.connection.bucket, Key: key, UploadId: multipartId };
    return inParallel(parts, this.#deps.concurrency, outer, async ({ partNumber, start, end }, signal) => {
      const checksum = base64Of(digests[partNumber - 1] ?? '');
      const fields = { ...place, PartNumber: partNumber, ContentLength: end - start + 1, ChecksumSHA256: checksum };
      const send: Send = (client, Body, abortSignal) => client.send(new UploadPartCommand({ ...fields, Body }), { abortSignal });
      const { etag, checked } = await this.#pieces.send(source, { start, end }, signal, send);
      if (!checked) throw unavailable(UNCHECKED);
      return { partNumber, etag, checksum };
    });
  }
}

const UNCHECKED = 'The object store did not say that it has checked the bytes.';
