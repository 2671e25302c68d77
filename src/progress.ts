import type { Readable } from 'node:stream';
import { SimpleSource } from './byte-source.ts';
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

/**
 * The same bytes as `source` (a request), read as they are asked for. Destroyed with `upload_timeout` when they come too
 * slowly, and with `aborted` when the client goes away. Time in which nobody asks for bytes is not held against the
 * client. Destroying it leaves `source` alone, paused: what is left of the request can still be drained and answered.
 */
export function watchProgress(source: Readable, limits: ProgressLimits): SimpleSource {
  return new WatchedBody(source, limits);
}

class WatchedBody extends SimpleSource {
  readonly #source: Readable;
  readonly #idleMs: number;
  readonly #minRate: number;
  readonly #clock: () => number;
  readonly #round: Round;
  #bytes = 0;
  /** Since when bytes are waited for; null while the reader has enough. */
  #waitingSince: number | null = null;
  #waitedMs = 0;
  #lastByteAt = 0;
  #begun = false;
  /** Came while the reader had enough; only then is the source paused, for most readers go on before anything comes. */
  #early: Buffer | null = null;

  constructor(source: Readable, { idleMs, minBytesPerSecond, clock = Date.now }: ProgressLimits) {
    super();
    this.#source = source;
    this.#idleMs = idleMs;
    this.#minRate = minBytesPerSecond;
    this.#clock = clock;
    this.#round = Round.every(Math.ceil(idleMs / LOOKS));
    this.#round.add(this);
    source.on('error', this.#failed).on('close', this.#closed);
  }

  override resume(): this {
    if (this.#waitingSince !== null || this.destroyed || this.readableEnded) return this;
    this.#waitingSince = this.#clock();
    if (this.#early) this.#tell(this.#early);
    if (this.#waitingSince === null || this.destroyed) return this;
    if (this.#source.readableEnded) this.end();
    else if (!this.#begun) this.#begin();
    else if (this.#source.isPaused()) this.#source.resume();
    return this;
  }

  override pause(): this {
    if (this.#waitingSince === null || this.destroyed || this.readableEnded) return this;
    this.#waitedMs += this.#waited();
    this.#waitingSince = null;
    return this;
  }

  protected override release(): void {
    this.#early = null;
    this.#round.remove(this);
    this.#source.off('data', this.#data).off('end', this.#ended).off('close', this.#closed);
    if (!this.#source.readableEnded) this.#source.pause();
  }

  /** Gives it up when it is too slow. */
  look(): void {
    if (this.#waitingSince === null) return;
    const now = this.#clock();
    const waited = this.#waitedMs + this.#waited();
    if (now - Math.max(this.#lastByteAt, this.#waitingSince) >= this.#idleMs)
      this.#tooSlow(`No bytes arrived for ${this.#idleMs / 1000} seconds.`);
    else if (waited >= this.#idleMs && this.#bytes * 1000 < this.#minRate * waited)
      this.#tooSlow(`Fewer than ${this.#minRate} bytes a second arrived.`);
  }

  #begin(): void {
    this.#begun = true;
    if (this.#source.destroyed) this.#closed();
    else this.#source.on('data', this.#data).on('end', this.#ended).resume();
  }

  readonly #data = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    this.#lastByteAt = this.#clock();
    if (this.#waitingSince === null) {
      this.#early = chunk;
      this.#source.pause();
    } else this.#tell(chunk);
  };

  #tell(chunk: Buffer): void {
    this.#early = null;
    this.emit('data', chunk);
  }

  /** The end may come with the last bytes, and these make the reader pause: it is told when it goes on. */
  readonly #ended = (): void => {
    if (this.#waitingSince === null) this.#round.remove(this);
    else this.end();
  };

  /** Stays attached for good: a request that breaks off later must not throw. */
  readonly #failed = (error: Error): void => void this.destroy(isWindlassError(error) ? error : aborted(error));

  readonly #closed = (): void => {
    if (!this.#source.readableEnded) this.destroy(aborted());
  };

  #waited(): number {
    return this.#waitingSince === null ? 0 : this.#clock() - this.#waitingSince;
  }

  #tooSlow(detail: string): void {
    this.destroy(new WindlassError('upload_timeout', detail));
  }
}

/** Looks at all bodies that want it equally often, until it finds none. Most come and go between two looks: they set and clear no timer. */
class Round {
  static readonly #rounds = new Map<number, Round>();
  readonly #everyMs: number;
  readonly #bodies = new Set<WatchedBody>();
  #timer: NodeJS.Timeout | undefined;

  private constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  static every(ms: number): Round {
    const round = Round.#rounds.get(ms) ?? new Round(ms);
    Round.#rounds.set(ms, round);
    return round;
  }

  add(body: WatchedBody): void {
    this.#bodies.add(body);
    this.#timer ??= setInterval(() => this.#look(), this.#everyMs).unref();
  }

  remove(body: WatchedBody): void {
    this.#bodies.delete(body);
  }

  #look(): void {
    for (const body of this.#bodies) body.look();
    if (this.#bodies.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const aborted = (cause?: Error): WindlassError =>
  new WindlassError('aborted', 'The client went away before the whole body had arrived.', { cause });
