import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandOutput,
} from '@aws-sdk/client-s3';
import { WindlassError } from '../../../errors.ts';
import type { MultipartEntry, PartInfo } from '../../../ports/object-store.ts';
import type { S3Connection } from './connection.ts';
import { within } from './deadline.ts';
import { ABSENT, nullIf, refusalOf } from './failure.ts';
import { quoted } from './notation.ts';
import { pages } from './paging.ts';

/** A part as it is named when the parts are put together. */
export interface ChosenPart {
  partNumber: number;
  etag: string;
  /** Base64, where the part was sent with one. */
  checksum?: string | undefined;
}

const GONE = ['NoSuchUpload', ...ABSENT] as const;
const NOT_THE_PARTS = new Set<string>(['InvalidPart', 'InvalidPartOrder', 'MalformedXML', ...GONE]);

/** Multipart uploads, as S3 answers: errors are mapped by the caller. */
export class Multiparts {
  readonly #connection: S3Connection;

  constructor(connection: S3Connection) {
    this.#connection = connection;
  }

  async create(
    key: string,
    fields: Pick<CreateMultipartUploadCommandInput, 'ContentType' | 'Metadata' | 'ChecksumAlgorithm'>,
  ): Promise<string> {
    const { client, bucket: Bucket, timeouts } = this.#connection;
    const command = new CreateMultipartUploadCommand({ Bucket, Key: key, ...fields });
    const { UploadId } = await within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal }));
    if (!UploadId) throw new WindlassError('store_unavailable', 'The object store gave no id to a multipart upload.');
    return UploadId;
  }

  async parts(key: string, multipartId: string): Promise<PartInfo[] | null> {
    const found: PartInfo[] = [];
    const listing = pages(
      (last: ListPartsCommandOutput | undefined) => this.#partsAfter(key, multipartId, last?.NextPartNumberMarker),
      ({ NextPartNumberMarker }) => NextPartNumberMarker,
    );
    const whole = await nullIf(GONE, async () => {
      for await (const { Parts } of listing)
        for (const { PartNumber, ETag, Size } of Parts ?? [])
          found.push({ partNumber: PartNumber ?? 0, etag: quoted(ETag), size: Size ?? 0 });
      return found;
    });
    // S3 has no list for a multipart upload that is gone; S3Proxy has an empty one.
    if (whole?.length === 0 && !(await this.#isOpen(key, multipartId))) return null;
    return whole?.sort((one, other) => one.partNumber - other.partNumber) ?? null;
  }

  async #isOpen(key: string, multipartId: string): Promise<boolean> {
    for await (const entry of this.list(key)) if (entry.multipartId === multipartId) return true;
    return false;
  }

  /** Throws `not_uploaded`. With `fresh` an object that is there already is left, and the store refuses. */
  async complete(key: string, multipartId: string, parts: readonly ChosenPart[], { fresh = false } = {}): Promise<void> {
    const { patient, bucket: Bucket, timeouts } = this.#connection;
    if (parts.length === 0) throw new WindlassError('not_uploaded', 'No parts are named.');
    const Parts = parts
      .map(({ partNumber: PartNumber, etag, checksum }) => ({
        PartNumber,
        ETag: quoted(etag),
        ...(checksum ? { ChecksumSHA256: checksum } : {}),
      }))
      .sort((one, other) => one.PartNumber - other.PartNumber);
    const condition = fresh ? { IfNoneMatch: '*' } : {};
    const command = new CompleteMultipartUploadCommand({
      Bucket,
      Key: key,
      UploadId: multipartId,
      MultipartUpload: { Parts },
      ...condition,
    });
    try {
      await within(timeouts.workMs, (abortSignal) => patient.send(command, { abortSignal }));
    } catch (error) {
      if (!NOT_THE_PARTS.has(refusalOf(error)?.code ?? '')) throw error;
      throw new WindlassError('not_uploaded', 'A part is missing or another one than was named, or there is no such multipart upload.', {
        cause: error,
      });
    }
  }

  async abort(key: string, multipartId: string): Promise<void> {
    const { client, bucket: Bucket, timeouts } = this.#connection;
    const command = new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: multipartId });
    await nullIf(GONE, () => within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal })));
  }

  /** MinIO lists the uploads of one key, or of the whole bucket, but not those below a prefix: then the bucket is looked through. */
  async *list(prefix: string): AsyncGenerator<MultipartEntry> {
    let found = false;
    for await (const entry of this.#entries(prefix)) {
      found = true;
      if (entry.key.startsWith(prefix)) yield entry;
    }
    if (found || !prefix.endsWith('/')) return;
    for await (const entry of this.#entries('')) if (entry.key.startsWith(prefix)) yield entry;
  }

  async *#entries(prefix: string): AsyncGenerator<MultipartEntry> {
    const listing = pages(
      (last: ListMultipartUploadsCommandOutput | undefined) => this.#entriesAfter(prefix, last),
      ({ NextKeyMarker, NextUploadIdMarker }) => NextKeyMarker && `${NextKeyMarker} ${NextUploadIdMarker}`,
    );
    for await (const { Uploads } of listing)
      for (const { Key, UploadId, Initiated } of Uploads ?? [])
        if (Key !== undefined && UploadId) yield { key: Key, multipartId: UploadId, startedAt: Initiated?.getTime() ?? 0 };
  }

  async #entriesAfter(prefix: string, last: ListMultipartUploadsCommandOutput | undefined): Promise<ListMultipartUploadsCommandOutput> {
    const { client, bucket: Bucket, timeouts } = this.#connection;
    const ask = (after: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined }) => {
      const command = new ListMultipartUploadsCommand({ Bucket, Prefix: prefix, ...after });
      return within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal }));
    };
    const KeyMarker = last?.NextKeyMarker;
    try {
      return await ask(last ? { KeyMarker, UploadIdMarker: last.NextUploadIdMarker } : {});
    } catch (error) {
      // Versity Gateway finds its own marker invalid. The key alone may skip further uploads of that key, till the next look.
      if (!last || refusalOf(error)?.code !== 'InvalidArgument') throw error;
      return ask({ KeyMarker });
    }
  }

  #partsAfter(Key: string, UploadId: string, marker: string | undefined): Promise<ListPartsCommandOutput> {
    const { client, bucket: Bucket, timeouts } = this.#connection;
    const command = new ListPartsCommand({ Bucket, Key, UploadId, PartNumberMarker: marker });
    return within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal }));
  }
}
