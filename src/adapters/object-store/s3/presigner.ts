import { createPresignedPost } from '@aws-sdk/s3-presigned-post';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import { create as attachment } from 'content-disposition';
import type { GetTerms, PartTerms, Presigner, PutTerms, SignedRequest } from '../../../ports/presigner.ts';
import { addressOf, type BucketAddress, escaped } from './address.ts';
import type { S3Connection } from './connection.ts';
import { orUnavailable } from './failure.ts';
import { base64Of } from './notation.ts';
import { secondsLeft, validity } from './validity.ts';

interface Unsigned {
  method: 'PUT' | 'GET';
  key: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  expiresAt: number;
}

/** Headers that must be sent as they were signed; others would be left out of the signature, or moved into the address. */
const BOUND = ['host', 'content-length', 'content-type', 'x-amz-checksum-sha256'];
const CHECKSUM = 'x-amz-checksum-sha256';

/**
 * Signs for the public address. Size, type and digest are signed headers, so the store itself refuses others. Requests are
 * prepared here instead of by the SDK's commands, which would take ten times as long. Rejects with `store_unavailable`
 * when there are no credentials (those of roles are fetched, and renewed, by the SDK).
 */
export class S3Presigner implements Presigner {
  readonly #connection: S3Connection;
  readonly #clock: () => number;
  readonly #signer: S3RequestPresigner;
  #address: BucketAddress | undefined;

  constructor({ connection, clock }: { connection: S3Connection; clock: () => number }) {
    this.#connection = connection;
    this.#clock = clock;
    const { credentials, region, sha256 } = connection.signing.config;
    this.#signer = new S3RequestPresigner({ credentials, region, sha256 });
  }

  async put({ key, size, contentType, sha256, expiresAt }: PutTerms): Promise<SignedRequest> {
    const digest: Record<string, string> = sha256 === null ? {} : { [CHECKSUM]: base64Of(sha256) };
    const headers = { 'content-length': String(size), 'content-type': contentType, ...digest };
    const url = await this.#sign({ method: 'PUT', key, headers, expiresAt });
    return { method: 'PUT', url, headers: { 'Content-Type': contentType, ...digest } };
  }

  post({ key, size, contentType, sha256, expiresAt }: PutTerms): Promise<SignedRequest> {
    return orUnavailable(async () => {
      const signed = await createPresignedPost(this.#connection.signing, {
        Bucket: this.#connection.bucket,
        Key: key,
        Fields: { 'Content-Type': contentType, ...(sha256 === null ? {} : { [CHECKSUM]: base64Of(sha256) }) },
        Conditions: [['content-length-range', size, size]],
        Expires: secondsLeft(this.#clock(), expiresAt),
      });
      // Stores know the bucket by the address, so that a form without this field works too: it binds nothing.
      const { bucket: _, ...fields } = signed.fields;
      return { method: 'POST', url: signed.url, headers: {}, fields };
    });
  }

  async part({ key, multipartId, partNumber, size, expiresAt }: PartTerms): Promise<SignedRequest> {
    const query = { partNumber: String(partNumber), uploadId: multipartId };
    const url = await this.#sign({ method: 'PUT', key, query, headers: { 'content-length': String(size) }, expiresAt });
    return { method: 'PUT', url, headers: {} };
  }

  async get({ key, filename, contentType, expiresAt }: GetTerms): Promise<SignedRequest> {
    const query = { 'response-content-disposition': attachment(filename.toWellFormed()), 'response-content-type': contentType };
    return { method: 'GET', url: await this.#sign({ method: 'GET', key, query, expiresAt }), headers: {} };
  }

  #sign({ method, key, query = {}, headers = {}, expiresAt }: Unsigned): Promise<string> {
    return orUnavailable(async () => {
      this.#address ??= await addressOf(this.#connection.signing, this.#connection.bucket);
      const { path: base, ...origin } = this.#address;
      const path = `${base}/${key.split('/').map(escaped).join('/')}`;
      const { from, seconds } = validity(this.#clock(), expiresAt);
      const signed = await this.#signer.presign(
        { method, ...origin, path, query: { ...query }, headers: { ...headers } },
        { signingDate: from, expiresIn: seconds, signableHeaders: new Set(BOUND), unhoistableHeaders: new Set([CHECKSUM]) },
      );
      return addressed(signed);
    });
  }
}

function addressed({ protocol, hostname, port, path, query = {} }: Awaited<ReturnType<S3RequestPresigner['presign']>>): string {
  const terms = Object.entries(query).map(([name, value]) => `${escaped(name)}=${escaped(String(value))}`);
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}?${terms.join('&')}`;
}
