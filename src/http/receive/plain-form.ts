import { isUtf8 } from 'node:buffer';
import { type ByteSource, SimpleSource } from '../../byte-source.ts';
import { freeChunk } from '../../chunk-memory.ts';
import type { WindlassError } from '../../errors.ts';
import { invalid } from './fields.ts';
import { FILE_PART, FormFields } from './form-fields.ts';
import { malformed, tooMuchBeside } from './form-file.ts';
import { PartEnd } from './part-end.ts';

/** Names, file names and types as most clients write them: nothing quoted, escaped, folded, or with parameters. */
const PLAIN_HEAD =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  /^Content-Disposition: form-data; name="([A-Za-z]{1,64})"(?:; filename="(?!\.{1,2}")([^"\\/%\x00-\x1f\x7f]{1,255})")?(?:\r\nContent-Type: ([\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}))?$/i;
const HEAD_END = '\r\n\r\n';
const MAX_HEAD_BYTES = 1024;

/** What a form begins with, up to the first byte of its file. */
export interface PlainBeginning {
  fields: FormFields;
  filename: string;
  /** Null when the part does not say. */
  contentType: string | null;
  /** Where the file begins. */
  length: number;
}

interface Head {
  name: string;
  filename: string | undefined;
  contentType: string | undefined;
  /** Behind the empty line. */
  end: number;
}

/**
 * Reads what stands before the file of a form, if all of it is there and as plain as most clients write it; null for
 * anything else, also for whatever is wrong: that is left to the form's parser, which knows every way to write a form.
 */
export function plainBeginning(bytes: Buffer, boundary: string, maxFieldBytes: number): PlainBeginning | null {
  const fields = new FormFields(maxFieldBytes);
  let delimiter = `--${boundary}\r\n`;
  for (let at = 0; ; ) {
    if (bytes.toString('latin1', at, at + delimiter.length) !== delimiter) return null;
    const head = plainHead(bytes, at + delimiter.length);
    if (!head) return null;
    const { name, filename, contentType = null, end } = head;
    if (filename !== undefined) return name === FILE_PART ? { fields, filename, contentType, length: end } : null;
    at = bytes.indexOf(`\r\n--${boundary}`, end, 'latin1');
    const value = bytes.subarray(end, at);
    if (at < 0 || contentType !== null || value.length > maxFieldBytes || !isUtf8(value)) return null;
    if (fields.add(name, value.toString())) return null;
    delimiter = `\r\n--${boundary}\r\n`;
  }
}

function plainHead(bytes: Buffer, from: number): Head | null {
  const end = bytes.indexOf(HEAD_END, from, 'latin1');
  const text = bytes.subarray(from, end);
  if (end < 0 || text.length > MAX_HEAD_BYTES || !isUtf8(text)) return null;
  const found = PLAIN_HEAD.exec(text.toString());
  if (!found) return null;
  const [, name = '', filename, contentType] = found;
  return { name, filename, contentType: contentType?.toLowerCase(), end: end + HEAD_END.length };
}

export interface PlainFormParts {
  /** Paused. */
  body: ByteSource;
  boundary: string;
  fields: FormFields;
  /** What has been read of the body. */
  first: Buffer;
  /** Where in `first` the file begins. */
  fileAt: number;
  /** How much may come behind the file, in bytes. */
  maxRestBytes: number;
}

/** The file of a form that began plainly: ends where the file ends, and is destroyed with what the form breaks off with. */
export class PlainForm extends SimpleSource {
  /** Resolves when the form has come whole; rejects with what is wrong behind its file. */
  readonly whole: Promise<void>;
  readonly #whole = Promise.withResolvers<void>();
  readonly #parts: Omit<PlainFormParts, 'first'>;
  readonly #end: PartEnd;
  /** Until it is read: a slow file would otherwise keep its first chunk to its end. */
  #first: Buffer | null;
  #paused = true;
  /** A copy of what has come behind the delimiter, until it is clear what that is; null before. */
  #rest: Buffer | null = null;
  #restBytes = 0;
  #closed = false;

  constructor({ first, ...parts }: PlainFormParts) {
    super();
    this.#parts = parts;
    this.#first = first;
    this.#end = new PartEnd(parts.boundary);
    this.whole = this.#whole.promise;
    // The file may fail first, and nobody ask for the rest.
    this.whole.catch(() => undefined);
  }

  override pause(): this {
    this.#paused = true;
    if (!this.readableEnded) this.#parts.body.pause();
    return this;
  }

  override resume(): this {
    this.#paused = false;
    if (this.#first) this.#begin(this.#first);
    if (!this.#paused) this.#parts.body.resume();
    return this;
  }

  protected override release(): void {
    if (this.destroyed) this.#parts.body.pause();
  }

  #begin(first: Buffer): void {
    const { body, fileAt } = this.#parts;
    this.#first = null;
    if (body.destroyed) return void this.#fail(body.errored ?? malformed());
    body.on('data', this.#take).on('end', this.#ended).on('error', this.#failed);
    this.#takeFile(first.subarray(fileAt));
    freeChunk(first);
  }

  readonly #take = (chunk: Buffer): void => {
    if (this.#rest) this.#takeRest(chunk);
    else this.#takeFile(chunk);
    freeChunk(chunk);
  };

  #takeFile(chunk: Buffer): void {
    const { content, rest } = this.#end.take(chunk);
    for (const bytes of content) this.emit('data', bytes);
    if (!rest || this.destroyed) return;
    this.end();
    this.#takeRest(rest.subarray(this.#end.delimiterLength));
    // Whoever has had the file asks for nothing more.
    this.#parts.body.resume();
  }

  /** Nothing may follow but the end of the form. */
  #takeRest(chunk: Buffer): void {
    const { maxRestBytes: limit } = this.#parts;
    this.#restBytes += chunk.length;
    if (this.#restBytes > limit) return void this.#fail(tooMuchBeside(limit));
    if (this.#closed) return;
    const rest = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    const next = rest.toString('latin1', 0, 2);
    if (next === '--') this.#closed = true;
    else if (next.length === 2 && next !== '\r\n') this.#fail(malformed());
    else if (rest.length > MAX_HEAD_BYTES || rest.includes(HEAD_END)) this.#fail(this.#another(rest));
    this.#rest = Buffer.from(rest);
  }

  /** Why another part is not taken. */
  #another(rest: Buffer): WindlassError {
    const head = plainHead(rest, 2);
    if (!head) return malformed();
    if (head.filename !== undefined) return invalid('', 'has too many files: one is taken');
    return this.#parts.fields.problemOf(head.name) ?? malformed();
  }

  readonly #ended = (): void => {
    if (this.#closed) this.#whole.resolve();
    else this.#fail(malformed());
  };

  readonly #failed = (error: Error): void => this.#fail(error);

  #fail(error: Error): void {
    this.#parts.body.off('data', this.#take).off('end', this.#ended);
    // A file that has come whole is read on.
    this.destroy(error);
    this.#whole.reject(error);
  }
}
