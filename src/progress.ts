import { Readable } from 'node:stream';
import { isWindlassError, WindlassError } from './errors.ts';

export interface ProgressLimits {
  /** How long the body may pause while it is being waited for. */
  idleMs: number;
  /** Slowest average rate, looked at once the body has been waited for as long as `idleMs`; 0 turns it off. */
  minBytesPerSecond: number;
  /** Epoch ms. */
  clock?: (() => number) | undefined;
}

/** A body is looked at this often within the time that it may pause. */
const LOOKS = 4;
/** Bytes read ahead while the reader is busy. */
const READ_AHEAD = 256 * 1024;

/**
 * The same bytes as `source` (a request), read as they are asked for. Destroyed with `upload_timeout` when they come too
 * slowly, and with `aborted` when the client goes away. Time in which nobody asks for bytes is not held against the
 * client. Destroying it leaves `source` alone, paused: what is left of the request can still be drained and answered.
 */
export function watchProgress(source: Readable, limits: ProgressLimits): Readable {
  return new WatchedBody(source, limits);
}

class WatchedBody extends Readable {
  readonly #source: Readable;
  readonly #idleMs: number;
  readonly #minRate: number;
  readonly #clock: () => number;
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;
  /** Since when bytes are waited for; null while the reader has enough. */
  #waitingSince: number | null = null;
  #waitedMs = 0;
  #lastByteAt = 0;
  #begun = false;

  constructor(source: Readable, { idleMs, minBytesPerSecond, clock = Date.now }: ProgressLimits) {
    super({ highWaterMark: READ_AHEAD });
    this.#source = source;
    this.#idleMs = idleMs;
    this.#minRate = minBytesPerSecond;
    this.#clock = clock;
    this.#timer = setInterval(() => this.#look(), Math.ceil(idleMs / LOOKS));
    source.on('error', this.#failed).on('close', this.#closed);
  }

  override _read(): void {
    if (this.#waitingSince !== null) return;
    this.#waitingSince = this.#clock();
    if (this.#begun) this.#source.resume();
    else this.#begin();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#timer);
    this.#source.off('data', this.#data).off('end', this.#ended).off('close', this.#closed);
    if (!this.#source.readableEnded) this.#source.pause();
    callback(error);
  }

  #begin(): void {
    this.#begun = true;
    if (this.#source.readableEnded) this.#ended();
    else if (this.#source.destroyed) this.#closed();
    else this.#source.on('data', this.#data).on('end', this.#ended).resume();
  }

  readonly #data = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    this.#lastByteAt = this.#clock();
    if (this.push(chunk)) return;
    this.#source.pause();
    this.#waitedMs += this.#waited();
    this.#waitingSince = null;
  };

  readonly #ended = (): void => {
    clearInterval(this.#timer);
    this.push(null);
  };

  /** Stays attached for good: a request that breaks off later must not throw. */
  readonly #failed = (error: Error): void => {
    if (!this.destroyed) this.destroy(isWindlassError(error) ? error : aborted(error));
  };

  readonly #closed = (): void => {
    if (!this.#source.readableEnded) this.destroy(aborted());
  };

  #waited(): number {
    return this.#waitingSince === null ? 0 : this.#clock() - this.#waitingSince;
  }

  #look(): void {
    if (this.#waitingSince === null) return;
    const now = this.#clock();
    const waited = this.#waitedMs + this.#waited();
    if (now - Math.max(this.#lastByteAt, this.#waitingSince) >= this.#idleMs)
      this.#tooSlow(`No bytes arrived for ${this.#idleMs / 1000} seconds.`);
    else if (waited >= this.#idleMs && this.#bytes * 1000 < this.#minRate * waited)
      this.#tooSlow(`Fewer than ${this.#minRate} bytes a second arrived.`);
  }

  #tooSlow(detail: string): void {
    this.destroy(new WindlassError('upload_timeout', detail));
  }
}

const aborted = (cause?: Error): WindlassError =>
  new WindlassError('aborted', 'The client went away before the whole body had arrived.', { cause });
