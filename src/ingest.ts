import { createHash, type Hash, hash } from 'node:crypto';
import { Batch, BLOCK_BYTES, crowded, fullBatchBytes, joinBatches, leaveBatches } from './batch.ts';
import type { ByteSource } from './byte-source.ts';
import { collectYoungGarbage, freeChunk } from './chunk-memory.ts';
import { WindlassError } from './errors.ts';
import type { DiskFile } from './ports/disk.ts';
import { HEAD_BYTES } from './sniff.ts';

/** Where they cannot be freed, the chunks of a smaller body are taken along by the collections that the rest of its request leads to. */
const COLLECTED_FROM_BYTES = 128 * 1024;
/**
 * How long bytes of a slow body may gather, in milliseconds: the file is touched at least this often while some arrive,
 * which shows other servers with the same disk that somebody is at it.
 */
export const BATCH_MS = 5000;

export interface IngestOptions {
  /** Largest size that is taken; one byte more is `too_large`. */
  maxBytes: number;
  /** What the body has to measure exactly; null when that was not declared. */
  expectedSize: number | null;
  /** Looks at the first HEAD_BYTES (or all bytes of a smaller file) as soon as they are there; a rejection ends the upload. */
  inspect?: ((head: Uint8Array) => Promise<void>) | undefined;
  /** Told how many bytes have just arrived. */
  onBytes?: ((bytes: number) => void) | undefined;
  /** Milliseconds from any beginning. */
  clock?: (() => number) | undefined;
}

export interface Ingested {
  /** Bytes. */
  size: number;
  /** Lower-case hex. */
  sha256: string;
}

/**
 * Streams a body into a file in constant memory, hashing on the way. Resolves when every byte has been handed to the
 * system (not: flushed); the caller commits. On any failure `body` is destroyed, and the file is left to the caller to
 * discard: nothing is being written to it any more. Throws `too_large`, `invalid_request` (another size than declared),
 * what `inspect` throws, what the file throws, and whatever `body` ends with.
 */
export function ingest(body: ByteSource, file: Pick<DiskFile, 'write'>, options: IngestOptions): Promise<Ingested> {
  return new Ingest(body, file, options).run();
}

class Ingest {
  readonly #body: ByteSource;
  readonly #file: Pick<DiskFile, 'write'>;
  readonly #options: IngestOptions;
  /** None as long as all bytes lie in one block: a small file is hashed by one call, which is cheaper than four to an object. */
  #hash: Hash | null = null;
  #sha256 = '';
  #size = 0;
  #gathered = new Batch();
  /** When the first of that arrived. */
  #gatheredSince = 0;
  /** What is being written; gathered into when that is done. */
  #free = new Batch();
  #inspection: Promise<void> | null = null;
  #writing: Promise<void> | null = null;
  #ended = false;
  #settled = false;
  #resolve: (done: Ingested) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(body: ByteSource, file: Pick<DiskFile, 'write'>, options: IngestOptions) {
    this.#body = body;
    this.#file = file;
    this.#options = options;
  }

  run(): Promise<Ingested> {
    joinBatches();
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#body.on('error', this.#fail).on('close', this.#closed);
      if (this.#body.destroyed) this.#closed();
      else this.#body.on('end', this.#end).on('data', this.#data).resume();
    });
  }

  readonly #data = (chunk: Buffer): void => {
    this.#size += chunk.length;
    this.#options.onBytes?.(chunk.length);
    const { maxBytes, expectedSize } = this.#options;
    if (this.#size > maxBytes) this.#fail(tooLarge(maxBytes));
    else if (expectedSize !== null && this.#size > expectedSize) this.#fail(wrongSize(expectedSize, this.#size));
    else this.#take(chunk);
  };

  #take(chunk: Buffer): void {
    this.#hash?.update(chunk);
    if (this.#gathered.size === 0) this.#gatheredSince = this.#now();
    this.#gathered.add(chunk);
    if (!this.#hash && this.#size > BLOCK_BYTES) this.#beginHash(this.#gathered.chunks());
    const { length } = chunk;
    if (!freeChunk(chunk) && this.#size > COLLECTED_FROM_BYTES) collectYoungGarbage(length);
    if (!this.#inspection && this.#size >= HEAD_BYTES) this.#inspect();
    if (!this.#full()) return;
    if (this.#writing) this.#body.pause();
    else this.#flush();
  }

  readonly #end = (): void => {
    this.#ended = true;
    const { expectedSize } = this.#options;
    if (expectedSize !== null && this.#size < expectedSize) return void this.#fail(wrongSize(expectedSize, this.#size));
    if (!this.#inspection) this.#inspect();
    if (!this.#writing) this.#flush();
  };

  readonly #closed = (): void => {
    if (!this.#ended) this.#fail(this.#body.errored ?? new WindlassError('aborted', 'The body broke off.'));
  };

  #full(): boolean {
    return (this.#gathered.size >= fullBatchBytes() && !this.#allSoon()) || this.#old();
  }

  /** Nothing is written yet, and the rest will fit into a block: one write for a small file, however many others there are. */
  #allSoon(): boolean {
    const { expectedSize } = this.#options;
    return expectedSize !== null && expectedSize - this.#size <= BLOCK_BYTES && this.#gathered.size === this.#size;
  }

  /** Only once the head has been looked at, which is taken from what has been gathered. */
  #old(): boolean {
    return this.#inspection !== null && this.#gathered.size > 0 && this.#now() - this.#gatheredSince >= BATCH_MS;
  }

  #now(): number {
    return (this.#options.clock ?? sinceStart)();
  }

  /** Nothing has been written yet: the smallest batch is larger than a head, and none is old before this. */
  #inspect(): void {
    const { inspect } = this.#options;
    this.#inspection = inspect ? inspect(this.#gathered.head(HEAD_BYTES)) : PASSED;
    this.#inspection.catch(this.#fail);
  }

  /** Writes what has been gathered; then, if more has been gathered meanwhile, that, or ends. */
  #flush(): void {
    const batch = this.#gathered;
    this.#gathered = this.#free;
    this.#free = batch;
    const chunks = batch.chunks();
    this.#writing = batch.size > 0 ? this.#file.write(chunks) : Promise.resolve();
    if (!this.#hash && this.#ended) this.#sha256 = hash('sha256', chunks[0] ?? NO_BYTES);
    else if (!this.#hash) this.#beginHash(chunks);
    if (crowded() && !this.#ended) this.#body.pause();
    this.#writing.then(this.#written, this.#fail);
  }

  #beginHash(chunks: readonly Uint8Array[]): void {
    this.#hash = createHash('sha256');
    for (const chunk of chunks) this.#hash.update(chunk);
  }

  readonly #written = (): void => {
    this.#writing = null;
    this.#free.release();
    if (this.#settled) return;
    if (this.#ended && this.#gathered.size === 0) return void this.#finish();
    if (this.#ended || this.#full()) this.#flush();
    this.#body.resume();
  };

  async #finish(): Promise<void> {
    // One that fails has settled it.
    await this.#inspection?.catch(() => undefined);
    if (this.#settled) return;
    this.#settle();
    this.#resolve({ size: this.#size, sha256: this.#hash?.digest('hex') ?? this.#sha256 });
  }

  /** Rejects once the write under way has ended, so that the file can be discarded safely. */
  readonly #fail = (error: unknown): void => {
    if (this.#settled) return;
    this.#settle();
    this.#gathered.release();
    this.#body.destroy();
    Promise.allSettled([this.#writing]).then(() => {
      this.#free.release();
      this.#reject(error);
    });
  };

  #settle(): void {
    this.#settled = true;
    leaveBatches();
    this.#body.off('data', this.#data).off('end', this.#end).off('close', this.#closed);
  }
}

const PASSED = Promise.resolve();
const NO_BYTES = new Uint8Array();

const sinceStart = (): number => performance.now();

const tooLarge = (limit: number): WindlassError => new WindlassError('too_large', `The file is larger than ${limit} bytes.`, { limit });

const wrongSize = (expected: number, actual: number): WindlassError =>
  new WindlassError('invalid_request', `The body has ${actual < expected ? 'fewer' : 'more'} bytes than declared.`, { expected, actual });
