import { addAbortSignal, PassThrough, type Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { collectYoungGarbage } from '../../../chunk-memory.ts';
import type { ByteRange } from '../../../ports/disk.ts';
import type { ObjectInfo, ObjectSource } from '../../../ports/object-store.ts';
import type { S3Connection } from './connection.ts';
import { within } from './deadline.ts';
import { ABSENT, ABSENT_PERHAPS, failureOf, isNameless, NO_STORE, nullIf, refusalOf, unavailable } from './failure.ts';
import { quoted, sha256Of } from './notation.ts';
import { pages } from './paging.ts';

/** An object with the rest of what is kept beside it. */
export interface Found {
  info: ObjectInfo;
  metadata: Record<string, string>;
}

/** User metadata that `put` leaves: the digest it was given, for stores that do not keep one of the whole object. */
const DIGEST = 'windlass-sha256';

export const metadataOf = ({ sha256 }: Pick<ObjectSource, 'sha256'>): Record<string, string> => ({ [DIGEST]: sha256 });

/** Whether these bytes were put here before. For keys that no client can write: others could claim any digest. */
export const holds = ({ info, metadata }: Found, { size, sha256 }: ObjectSource): boolean =>
  info.size === size && (info.sha256 ?? metadata[DIGEST]) === sha256;

/** What is done with whole objects, as S3 answers it: errors are mapped by the caller. */
export class Objects {
  readonly #connection: S3Connection;

  constructor(connection: S3Connection) {
    this.#connection = connection;
  }

  /** Null also when there is no bucket: an answer to HEAD does not tell. */
  async find(key: string): Promise<Found | null> {
    const { client, bucket: Bucket, timeouts } = this.#connection;
    const command = new HeadObjectCommand({ Bucket, Key: key, ChecksumMode: 'ENABLED' });
    try {
      const output = await nullIf(ABSENT_PERHAPS, () => within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal })));
      return output && { info: infoOf(key, output), metadata: output.Metadata ?? {} };
    } catch (error) {
      // An operator needs to know which refusal it is: that to a GET has a code.
      const refusal = refusalOf(error);
      if (refusal && isNameless(refusal)) await this.mustBeAbsent(key);
      throw error;
    }
  }

  async head(key: string): Promise<ObjectInfo | null> {
    const found = await this.find(key);
    if (found) return found.info;
    await this.mustBeAbsent(key);
    return null;
  }

  /** A missing bucket must not look like missing objects. Only an answer with a body tells them apart. */
  async mustBeAbsent(key: string): Promise<null> {
    // It may have come in between: then it is as good as not there yet.
    (await this.read(key))?.destroy();
    return null;
  }

  /** The stream fails as the store does: with `store_unavailable`. */
  async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable | null> {
    const { patient, bucket: Bucket, timeouts } = this.#connection;
    const command = new GetObjectCommand({ Bucket, Key: key, ...(range ? { Range: `bytes=${range.start}-${range.end}` } : {}) });
    const send = (abortSignal: AbortSignal) => patient.send(command, { abortSignal });
    const output = await nullIf(ABSENT, () => within(timeouts.answerMs, send, signal));
    return output && received(output.Body as Readable, signal);
  }

  async remove(key: string): Promise<void> {
    const { client, bucket: Bucket, timeouts } = this.#connection;
    const command = new DeleteObjectCommand({ Bucket, Key: key });
    await nullIf(ABSENT, () => within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal })));
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const listing = pages(
      (last: ListObjectsV2CommandOutput | undefined) => this.#listAfter(prefix, last?.NextContinuationToken),
      ({ NextContinuationToken }) => NextContinuationToken,
    );
    for await (const { Contents } of listing) {
      for (const { Key, Size, ETag, LastModified } of Contents ?? []) {
        if (Key === undefined) continue;
        const modifiedAt = LastModified?.getTime() ?? 0;
        yield { key: Key, size: Size ?? 0, contentType: null, etag: quoted(ETag), sha256: null, modifiedAt };
      }
    }
  }

  #listAfter(prefix: string, token: string | undefined): Promise<ListObjectsV2CommandOutput> {
    const { client, bucket: Bucket, timeouts } = this.#connection;
    const command = new ListObjectsV2Command({ Bucket, Prefix: prefix, ContinuationToken: token });
    return within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal }));
  }
}

function infoOf(key: string, output: HeadObjectCommandOutput): ObjectInfo {
  const { ContentLength, ContentType, ETag, LastModified } = output;
  if (!ETag) throw unavailable(NO_STORE);
  return {
    key,
    size: ContentLength ?? 0,
    contentType: ContentType ?? null,
    etag: quoted(ETag),
    sha256: sha256Of(output),
    modifiedAt: LastModified?.getTime() ?? 0,
  };
}

function received(body: Readable, signal: AbortSignal | undefined): Readable {
  const bytes = new PassThrough();
  body.on('error', (error) => bytes.destroy(failureOf(error) as Error));
  bytes.on('close', () => body.destroy());
  body.on('data', ({ length }: Buffer) => collectYoungGarbage(length));
  body.pipe(bytes);
  return signal ? addAbortSignal(signal, bytes) : bytes;
}
