import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Context } from 'koa';
import multer from 'multer';
import { asReadable } from '../../../byte-source.ts';
import { collectYoungGarbage } from '../../../chunk-memory.ts';
import { isWindlassError, WindlassError } from '../../../errors.ts';
import type { StoreEndpointParts } from './http.ts';
import type { IncomingObject } from './incoming-object.ts';

const FIELDS = new Set(['key', 'Content-Type', 'sha256', 'policy', 'signature']);
const LIMITS = { fields: FIELDS.size, files: 1, parts: FIELDS.size + 1, fieldSize: 8192, fieldNameSize: 64, headerPairs: 16 };
/** What a form may have besides the file: fields, boundaries, part headers. */
const OVERHEAD_BYTES = 128 * 1024;

type Parser = Writable & {
  on(event: 'field', listener: (name: string, value: string, info: { nameTruncated: boolean; valueTruncated: boolean }) => void): Parser;
  on(event: 'file', listener: (name: string) => void): Parser;
  on(event: 'error', listener: (error: Error) => void): Parser;
  on(event: 'partsLimit' | 'filesLimit' | 'fieldsLimit', listener: () => void): Parser;
};

/** multer's middleware, which needs no response and no framework. */
type Parse = (request: Readable, response: undefined, next: (error?: unknown) => void) => void;

/**
 * Receives a signed form (fields first, then the file) and stores it; its ETag header. multer reports an error only when the
 * rest of the body has been read, which an endless form never is: whoever finds the error first ends this at once.
 */
export async function receiveForm(ctx: Context, parts: StoreEndpointParts): Promise<string> {
  const form = new Form(ctx, parts);
  try {
    return await form.receive();
  } finally {
    await form.end();
  }
}

class Form implements multer.StorageEngine {
  readonly #ctx: Context;
  readonly #parts: StoreEndpointParts;
  readonly #fields: Record<string, string> = {};
  readonly #refused = Promise.withResolvers<never>();
  readonly #ended = new AbortController();
  #allowance = OVERHEAD_BYTES;
  #fileBegun = false;
  #storing: Promise<IncomingObject> | null = null;
  #object: IncomingObject | null = null;

  constructor(ctx: Context, parts: StoreEndpointParts) {
    this.#ctx = ctx;
    this.#parts = parts;
    this.#refused.promise.catch(() => undefined);
  }

  async receive(): Promise<string> {
    const request = this.#ctx.req;
    const options = { storage: this, limits: LIMITS, streamHandler: (body: Readable, parser: Parser) => this.#feed(body, parser) };
    const parse = multer(options).single('file') as unknown as Parse;
    const parsed = new Promise<void>((resolve, reject) => {
      parse(request, undefined, (error?: unknown) => (error ? reject(asRefusal(error, request)) : resolve()));
    });
    await Promise.race([parsed, this.#refused.promise]);
    if (!this.#storing) throw malformed('There is no part named `file`.');
    return `"${(await (await this.#storing).commit()).etag}"`;
  }

  /** Stops reading and takes away what was not committed. */
  async end(): Promise<void> {
    this.#ended.abort();
    await this.#storing?.catch(() => undefined);
    await this.#object?.discard();
  }

  _handleFile(_request: unknown, { stream }: { stream: Readable }, done: (error?: unknown, info?: object) => void): void {
    this.#storing = this.#store(stream);
    this.#storing.then(
      () => done(null, {}),
      (error: unknown) => {
        this.#refuse(error);
        done(error);
      },
    );
  }

  _removeFile(_request: unknown, _file: unknown, done: (error: Error | null) => void): void {
    done(null);
  }

  async #store(bytes: Readable): Promise<IncomingObject> {
    const terms = this.#parts.presigner.verifyForm(this.#fields, this.#parts.clock());
    this.#allowance += terms.size;
    this.#object = await this.#parts.store.begin(terms.key, terms);
    await this.#object.receive(bytes);
    return this.#object;
  }

  #feed(body: Readable, parser: Parser): void {
    parser.on('field', (name, value, { nameTruncated, valueTruncated }) => {
      if (this.#fileBegun) this.#refuse(malformed('The fields must come before the file.'));
      else if (nameTruncated || valueTruncated) this.#refuse(malformed('A field is too long.'));
      else if (!FIELDS.has(name) || Object.hasOwn(this.#fields, name)) this.#refuse(unsigned(name));
      else this.#fields[name] = value;
    });
    parser.on('file', (name) => {
      this.#fileBegun = true;
      if (name !== 'file') this.#refuse(malformed('The file must be in the part named `file`.'));
    });
    for (const limit of ['partsLimit', 'filesLimit', 'fieldsLimit'] as const) {
      parser.on(limit, () => this.#refuse(malformed('The form has more parts than were signed.')));
    }
    parser.on('error', (error) => this.#refuse(asRefusal(error, body)));
    pipeline(this.#counted(), parser, { signal: this.#ended.signal }).catch((error: unknown) => this.#refuse(error));
  }

  async *#counted(): AsyncIterable<Uint8Array> {
    let received = 0;
    try {
      for await (const chunk of asReadable(this.#parts.open(this.#ctx)) as AsyncIterable<Buffer>) {
        received += chunk.byteLength;
        // The parser passes on parts of it, which nobody can free.
        collectYoungGarbage(chunk.byteLength);
        if (received > this.#allowance) {
          throw new WindlassError('too_large', 'The form is larger than its file and its fields can be.', { limit: this.#allowance });
        }
        yield chunk;
      }
    } catch (error) {
      // Before the parser is told, which would pass it on as an error of the form.
      this.#refuse(error);
      throw error;
    }
  }

  #refuse(error: unknown): void {
    this.#refused.reject(error);
    this.#ended.abort();
  }
}

/** An error of the parser: the form is at fault, unless it just ended because the client went away. */
function asRefusal(error: unknown, body: Readable): unknown {
  if (isWindlassError(error)) return error;
  if (body.destroyed && !body.readableEnded) return new WindlassError('aborted', 'The client went away.', { cause: error });
  return malformed(`The form cannot be read: ${(error as Error).message}.`);
}

const malformed = (detail: string): WindlassError => new WindlassError('invalid_request', detail);
const unsigned = (name: string): WindlassError =>
  new WindlassError('link_invalid', `The form was not signed for another field ${JSON.stringify(name)}.`);
