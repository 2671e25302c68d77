import { Readable, Writable } from 'node:stream';
import { PartEnd } from './part-end.ts';
import type { PartHeads } from './part-heads.ts';

const HEAD_END = Buffer.from('\r\n\r\n');
/** A file of one byte: the parser holds a head back until it sees that no boundary follows. */
const ONE_BYTE = Buffer.from('x');
const NOTHING = Buffer.alloc(0);
const READ_AHEAD = 256 * 1024;

export interface FormSplitterParts {
  parser: Writable;
  boundary: string;
  /** Sees everything that comes before the file. */
  heads: PartHeads;
  /** Told when the parser does not find a file where there is one, or the other way round. */
  onError: (error: Error) => void;
}

/**
 * Feeds a form to its parser, except for the bytes of its file: those go straight to `file`, because one native search
 * for the boundary costs a fraction of what the parser's own does. Heads, fields and whatever follows the file are the
 * parser's. In place of the file it gets a single byte; the form is refused unless it takes that for a file's, too.
 */
export class FormSplitter extends Writable {
  /** Ends where the file ends; destroyed with an error when the form ends before. */
  readonly file: Readable;
  readonly #parts: FormSplitterParts;
  readonly #end: PartEnd;
  #place: 'before' | 'inside' | 'behind' = 'before';
  /** Before the file: the last bytes seen, which may begin the end of a head. */
  #tail = NOTHING;
  #waiting: (() => void) | null = null;
  #confirmed = false;

  constructor(parts: FormSplitterParts) {
    super({ highWaterMark: READ_AHEAD });
    this.#parts = parts;
    this.#end = new PartEnd(parts.boundary);
    this.file = new Readable({ highWaterMark: READ_AHEAD, read: () => this.#resume() });
    // The form may break off before anybody reads the file.
    this.file.on('error', () => undefined);
  }

  /** To be called when the parser has found a file. */
  confirmFile(): void {
    if (this.#place === 'before') this.#parts.onError(new Error('the parser found a file where there is none'));
    this.#confirmed = true;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    let rest = chunk;
    let more = true;
    if (this.#place === 'before') rest = this.#takeHeads(rest);
    if (this.#place === 'inside') ({ rest, more } = this.#takeFile(rest));
    if (rest.length > 0) this.#parts.parser.write(rest);
    if (more || this.file.destroyed) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    if (this.#place === 'inside') this.file.destroy(new Error('the form ends in the middle of its file'));
    this.#parts.parser.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // A file that has come whole is read on.
    if (this.#place !== 'behind') this.file.destroy(error ?? undefined);
    done(error);
  }

  #resume(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }

  /** Feeds the parser head by head; what is left belongs to the file. */
  #takeHeads(chunk: Buffer): Buffer {
    const seen = this.#tail.length;
    const joined = seen > 0 ? Buffer.concat([this.#tail, chunk]) : chunk;
    let fed = 0;
    for (let at = joined.indexOf(HEAD_END); at >= 0; at = joined.indexOf(HEAD_END, at + 1)) {
      const end = at + HEAD_END.length - seen;
      this.#feed(chunk.subarray(fed, end));
      fed = end;
      if (this.#parts.heads.endsFileHead()) {
        this.#beginFile();
        return chunk.subarray(fed);
      }
    }
    this.#feed(chunk.subarray(fed));
    this.#tail = Buffer.from(joined.subarray(1 - HEAD_END.length));
    return NOTHING;
  }

  #feed(bytes: Buffer): void {
    this.#parts.heads.see(bytes);
    this.#parts.parser.write(bytes);
  }

  #beginFile(): void {
    this.#place = 'inside';
    this.#tail = NOTHING;
    this.#parts.parser.write(ONE_BYTE);
    if (!this.#confirmed) this.#parts.onError(new Error('the parser found no file where there is one'));
  }

  /** Passes bytes of the file on; `rest` begins with the delimiter once that has come, `more` is false when the file is full. */
  #takeFile(chunk: Buffer): { rest: Buffer; more: boolean } {
    const { content, rest } = this.#end.take(chunk);
    let more = true;
    for (const bytes of content) more = this.file.push(bytes);
    if (!rest) return { rest: NOTHING, more };
    this.#place = 'behind';
    this.file.push(null);
    return { rest, more: true };
  }
}
