import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import type { ByteRange } from '../../../ports/disk.ts';
import type { ObjectSource } from '../../../ports/object-store.ts';
import { sendBody } from './body.ts';
import type { S3Connection } from './connection.ts';
import { NO_STORE, unavailable } from './failure.ts';
import { quoted } from './notation.ts';

/** Makes one request with this body and its SHA-256 as the checksum. */
export type Send = (client: S3Client, body: Readable, signal: AbortSignal) => Promise<Answer>;

interface Answer {
  ETag?: string | undefined;
  ChecksumSHA256?: string | undefined;
}

export interface Sent {
  etag: string;
  /** The store has compared the bytes with the digest. False is a surprise: it did so before. */
  checked: boolean;
  /** It keeps the digest with the object. */
  digestKept: boolean;
}

/**
 * Sends bodies so that the store itself refuses other bytes. A store that checks checksums says so in its answer. Until it
 * has, the digest goes into the signature as well: that one every store checks, but some then hash everything twice.
 */
export class CheckedSender {
  readonly #connection: S3Connection;
  #checksChecksums = false;

  constructor(connection: S3Connection) {
    this.#connection = connection;
  }

  async send(source: ObjectSource, range: ByteRange | null, signal: AbortSignal | undefined, send: Send): Promise<Sent> {
    const { client, strict } = this.#connection;
    const relied = this.#checksChecksums;
    const answer = await sendBody(source, range, signal, (body, abortSignal) => send(relied ? client : strict, body, abortSignal));
    // Servers that are no S3 say yes to anything.
    if (!answer.ETag) throw unavailable(NO_STORE);
    const digestKept = answer.ChecksumSHA256 !== undefined;
    this.#checksChecksums = digestKept;
    return { etag: quoted(answer.ETag), digestKept, checked: digestKept || !relied };
  }
}
