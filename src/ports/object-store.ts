import type { Readable } from 'node:stream';
import type { ByteRange } from './disk.ts';

export interface ObjectInfo {
  key: string;
  size: number;
  contentType: string | null;
  /** Opaque; changes whenever the object is written again. */
  etag: string;
  /** Lower-case hex of the whole object, where the store knows it; null makes the caller read the object. */
  sha256: string | null;
  /** Epoch ms. */
  modifiedAt: number;
}

/** Bytes to be stored, readable more than once and from any offset, so that a cut transfer can begin again. */
export interface ObjectSource {
  size: number;
  contentType: string;
  /** Lower-case hex; the store must end up with exactly these bytes. */
  sha256: string;
  /** The chunks of the stream are the reader's own. */
  open(range?: ByteRange): Promise<Readable>;
}

export interface PartInfo {
  partNumber: number;
  etag: string;
  size: number;
}

export interface MultipartEntry {
  key: string;
  multipartId: string;
  /** Epoch ms. */
  startedAt: number;
}

/**
 * Objects by key. Failure contract: whatever may pass (network, throttling, 5xx, no space) is `store_unavailable`, with
 * the SDK's error as `cause`; bytes that differ from their declared SHA-256 are `digest_mismatch`; everything else is
 * passed on. Absence is answered by null, never thrown, unless a method says so.
 */
export interface ObjectStore {
  readonly name: 'disk' | 's3';
  readonly bucket: string;
  /** Stores and verifies. Idempotent: the same source under the same key again changes nothing. */
  put(key: string, source: ObjectSource, signal?: AbortSignal): Promise<ObjectInfo>;
  head(key: string): Promise<ObjectInfo | null>;
  read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable | null>;
  /**
   * Copies an object to a key that clients cannot write, if it still has `etag`. The first copy wins: where `to` exists
   * already it is left as it is and returned. Null when `from` is gone or has changed.
   */
  freeze(from: string, to: string, etag: string): Promise<ObjectInfo | null>;
  /** Idempotent: a key that is not there is fine. */
  remove(key: string): Promise<void>;
  list(prefix: string): AsyncIterable<ObjectInfo>;
  createMultipart(key: string, contentType: string): Promise<string>;
  /** Parts that the store has, ascending; null when there is no such multipart upload. */
  listParts(key: string, multipartId: string): Promise<PartInfo[] | null>;
  /**
   * Puts the parts together under `key`. Throws `not_uploaded` when a part is missing or has another etag. Idempotent
   * only in so far as the caller finds the finished object by `head` when the multipart upload is gone.
   */
  completeMultipart(key: string, multipartId: string, parts: readonly { partNumber: number; etag: string }[]): Promise<void>;
  /** Idempotent. */
  abortMultipart(key: string, multipartId: string): Promise<void>;
  listMultiparts(prefix: string): AsyncIterable<MultipartEntry>;
}

/** A store that keeps files of its own and so has leftovers of its own. Others look after themselves. */
export interface SweptStore {
  /** Removes what a crash left behind and nothing owns, last touched before `before` (epoch ms); how many. */
  sweep(before: number): Promise<number>;
}
