import { createHash } from 'node:crypto';
import { isTelling } from '../core/content-type.ts';
import { keyOf } from '../core/keys.ts';
import { sameType } from '../core/media-type.ts';
import { sizeOfPart } from '../core/parts.ts';
import { codeOf, isWindlassError, WindlassError } from '../errors.ts';
import type { ObjectInfo, ObjectStore, PartInfo } from '../ports/object-store.ts';
import { contradiction, HEAD_BYTES } from '../sniff.ts';
import { wholeFile } from './multipart.ts';
import type { PresignedUpload } from './pending.ts';

export const MISMATCHES = ['size_mismatch', 'type_mismatch', 'digest_mismatch', 'content_mismatch'] as const;

/** What the client uploaded is not what it had declared. */
export interface Mismatch {
  code: (typeof MISMATCHES)[number];
  detail: string;
  expected: unknown;
  actual: unknown;
}

export type Verdict = { outcome: 'sound'; sha256: string } | { outcome: 'mismatch'; mismatch: Mismatch } | { outcome: 'absent' };

/** What the caller has seen of the upload just before, and how it came to verify it. */
export interface Circumstances {
  /** The staged object. */
  staged?: ObjectInfo | null;
  /** The parts that make up the file. */
  parts?: readonly PartInfo[] | null;
  /** Somebody began to verify it before: the object may already be where clients cannot write. */
  resumed?: boolean;
  /** It went back to pending after somebody had begun to verify it: what may have been moved then is outdated. */
  outdated?: boolean;
  signal: AbortSignal;
}

/** How often an object that is replaced between check and move is checked again. */
const TRIES = 5;

/** Where a completed upload lies: clients get no link that could write there. */
export const frozenKey = ({ tenant, id }: Pick<PresignedUpload, 'tenant' | 'id'>): string => keyOf('files', tenant, id);

/**
 * Puts the parts together, moves the object to where the client cannot write, and checks it there: size, type, digest and
 * first bytes. Everything may be done again after a crash. Throws `store_unavailable`; `conflict` when the object is
 * replaced again and again; the signal's reason.
 */
export async function verify(store: ObjectStore, upload: PresignedUpload, circumstances: Circumstances): Promise<Verdict> {
  const { parts, signal } = circumstances;
  if (circumstances.outdated) await store.remove(frozenKey(upload));
  const uneven = await assemble(store, upload, parts ?? null);
  if (uneven) return { outcome: 'mismatch', mismatch: uneven };
  signal.throwIfAborted();
  const frozen = await freeze(store, upload, circumstances);
  if (frozen === null) return { outcome: 'absent' };
  if ('code' in frozen) return { outcome: 'mismatch', mismatch: frozen };
  return inspect(store, upload, frozen, signal);
}

async function assemble(store: ObjectStore, upload: PresignedUpload, known: readonly PartInfo[] | null): Promise<Mismatch | null> {
  const { key, multipartId, partSize, partCount } = upload.staging;
  if (multipartId === null || partSize === null || partCount === null) return null;
  const plan = { partSize, partCount };
  try {
    const stored = known ?? (await store.listParts(key, multipartId));
    if (stored === null) return null;
    const parts = wholeFile(plan, stored);
    const actual = parts.reduce((sum, { size }) => sum + size, 0);
    if (parts.some(({ partNumber, size }) => size !== sizeOfPart(partNumber, plan, upload.size))) return wrongSize(upload, actual);
    await store.completeMultipart(key, multipartId, parts);
    return null;
  } catch (error) {
    // Missing parts, or a multipart upload that somebody put together before: the object itself tells which.
    if (codeOf(error) === 'not_uploaded') return null;
    throw error;
  }
}

async function freeze(
  store: ObjectStore,
  upload: PresignedUpload,
  { staged: seen, resumed, signal }: Circumstances,
): Promise<ObjectInfo | Mismatch | null> {
  const target = frozenKey(upload);
  const before = resumed ? await store.head(target) : null;
  if (before) return compare(upload, before) ?? before;
  let staged = seen ?? (await store.head(upload.staging.key));
  for (let tries = 0; tries < TRIES; tries += 1) {
    signal.throwIfAborted();
    if (!staged) return null;
    const mismatch = compare(upload, staged);
    if (mismatch) return mismatch;
    const frozen = await store.freeze(upload.staging.key, target, staged.etag);
    if (frozen) return compare(upload, frozen) ?? frozen;
    staged = await store.head(upload.staging.key);
  }
  throw new WindlassError('conflict', 'The object is being replaced while it is checked.', { retryAfter: 1 });
}

function compare(upload: PresignedUpload, object: ObjectInfo): Mismatch | null {
  if (object.size !== upload.size) return wrongSize(upload, object.size);
  if (object.contentType === null || sameType(object.contentType, upload.contentType)) return null;
  const { contentType: actual } = object;
  const { contentType: expected } = upload;
  return { code: 'type_mismatch', detail: `The object is ${actual}; ${expected} was declared.`, expected, actual };
}

const wrongSize = ({ size }: PresignedUpload, actual: number): Mismatch => ({
  code: 'size_mismatch',
  detail: `The object has ${actual} bytes; ${size} were declared.`,
  expected: size,
  actual,
});

async function inspect(store: ObjectStore, upload: PresignedUpload, frozen: ObjectInfo, signal: AbortSignal): Promise<Verdict> {
  const { sha256, head } = await readThrough(store, frozen, isTelling(upload.contentType) ? HEAD_BYTES : 0, signal);
  if (upload.sha256 !== null && upload.sha256 !== sha256) {
    const detail = `The object has the SHA-256 ${sha256}; ${upload.sha256} was declared.`;
    return { outcome: 'mismatch', mismatch: { code: 'digest_mismatch', detail, expected: upload.sha256, actual: sha256 } };
  }
  const detected = await contradiction(upload.contentType, head);
  if (detected !== null) {
    const detail = `The first bytes are those of ${detected}; ${upload.contentType} was declared.`;
    return { outcome: 'mismatch', mismatch: { code: 'content_mismatch', detail, expected: upload.contentType, actual: detected } };
  }
  return { outcome: 'sound', sha256 };
}

/** Digest and first `headBytes`: no more than these is read where the store knows the digest. */
async function readThrough(
  store: ObjectStore,
  { key, size, sha256 }: ObjectInfo,
  headBytes: number,
  signal: AbortSignal,
): Promise<{ sha256: string; head: Buffer }> {
  const hash = createHash('sha256');
  const expected = sha256 === null ? size : Math.min(size, headBytes);
  if (expected === 0) return { sha256: sha256 ?? hash.digest('hex'), head: Buffer.alloc(0) };
  const head: Buffer[] = [];
  let [read, kept] = [0, 0];
  for await (const chunk of bytesOf(store, key, expected < size ? { start: 0, end: expected - 1 } : undefined, signal)) {
    if (sha256 === null) hash.update(chunk);
    if (kept < headBytes) kept += head[head.push(Buffer.from(chunk.subarray(0, headBytes - kept))) - 1]?.length ?? 0;
    read += chunk.length;
  }
  if (read !== expected) throw unavailable(`The store sent ${read} of ${expected} bytes.`);
  return { sha256: sha256 ?? hash.digest('hex'), head: Buffer.concat(head) };
}

async function* bytesOf(
  store: ObjectStore,
  key: string,
  range: { start: number; end: number } | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    const stream = await store.read(key, range, signal);
    if (!stream) throw unavailable('The object cannot be read.');
    for await (const chunk of stream) {
      signal.throwIfAborted();
      yield chunk;
    }
  } catch (error) {
    if (signal.aborted || isWindlassError(error)) throw error;
    throw unavailable('The transfer from the store broke off.', error);
  }
}

const unavailable = (detail: string, cause?: unknown): WindlassError =>
  new WindlassError('store_unavailable', detail, { retryAfter: 5, ...(cause === undefined ? {} : { cause }) });
