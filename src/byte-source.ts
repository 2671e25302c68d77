import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';

/** Chunks read ahead while the reader is busy. */
const READ_AHEAD = 2;

/**
 * What one reader needs of the bytes of a request, which any `Readable` has. Its reader listens first, then calls `resume`;
 * the chunks are its own from then on.
 */
export interface ByteSource {
  readonly destroyed: boolean;
  /** What it was destroyed with. */
  readonly errored: Error | null;
  readonly readableEnded: boolean;
  on(event: 'data', listener: (chunk: Buffer) => void): this;
  on(event: 'end' | 'close', listener: () => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  off(event: 'data', listener: (chunk: Buffer) => void): this;
  off(event: 'end' | 'close', listener: () => void): this;
  off(event: 'error', listener: (error: Error) => void): this;
  pause(): this;
  resume(): this;
  destroy(error?: Error): this;
}

/**
 * A source without the buffer of a `Readable` and the callbacks that it queues (docs/decisions/0030-bodies-without-streams.md).
 * Whatever happens is told at once, within the call that made it happen; an error that nobody listens to is found in `errored`.
 */
export abstract class SimpleSource extends EventEmitter implements ByteSource {
  destroyed = false;
  errored: Error | null = null;
  readableEnded = false;

  abstract pause(): this;
  abstract resume(): this;
  /** Called once, when it ends or is destroyed. */
  protected abstract release(): void;

  destroy(error?: Error): this {
    if (this.destroyed || this.readableEnded) return this;
    this.destroyed = true;
    this.errored = error ?? null;
    this.release();
    if (error && this.listenerCount('error') > 0) this.emit('error', error);
    this.emit('close');
    return this;
  }

  protected end(): void {
    this.readableEnded = true;
    this.release();
    this.emit('end');
  }
}

/** For whoever needs a whole stream, to iterate over it or to pipe it. `first` comes before all else. */
export function asReadable(source: ByteSource, first?: Buffer): Readable {
  const readable = new Readable({
    // By chunks: iterating over a stream of bytes copies what has gathered into one, and nobody could free what was copied.
    objectMode: true,
    highWaterMark: READ_AHEAD,
    read: () => void source.resume(),
    destroy(error, done) {
      source.destroy();
      done(error);
    },
  });
  if (first && first.length > 0) readable.push(first);
  if (source.readableEnded) readable.push(null);
  else if (source.errored) readable.destroy(source.errored);
  source.on('error', (error) => readable.destroy(error)).on('end', () => readable.push(null));
  source.on('data', (chunk) => {
    if (!readable.push(chunk)) source.pause();
  });
  return readable;
}
