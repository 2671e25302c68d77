import type { Readable, Writable } from 'node:stream';
import multer from '@koa/multer';
import { parse as parseContentType } from 'content-type';
import type { Context } from 'koa';
import { OCTET_STREAM } from '../../core/content-type.ts';
import { cleanFilename } from '../../core/filename.ts';
import { isWindlassError, WindlassError } from '../../errors.ts';
import type { ProgressLimits } from '../../progress.ts';
import { validate } from '../validation.ts';
import { openBody } from './body.ts';
import { FIELD_NAMES, invalid, type UploadFieldValues, uploadFields } from './fields.ts';
import { FormSplitter } from './form-splitter.ts';
import { type Intake, requireAllowed, type TakenFile, takeFile } from './intake.ts';
import { PartHeads } from './part-heads.ts';

const FILE_PART = 'file';
const MAX_NAME_BYTES = 64;
const MIB = 1024 * 1024;

/** What the headers of a form say: nothing about the file. */
export interface FormAnnouncement {
  kind: 'form';
  boundary: string;
  /** Bytes of the whole form; null for a chunked body. */
  length: number | null;
}

export interface FormLimits {
  /** Longest value of a field, in bytes. */
  fieldBytes: number;
  allowedTypes: readonly string[] | undefined;
}

export interface TakenForm extends TakenFile {
  filename: string;
  contentType: string;
  fields: UploadFieldValues;
}

/** How much larger than its file a form may be: all fields at their longest, boundaries, and what is buffered on the way. */
export const formOverhead = (fieldBytes: number): number => FIELD_NAMES.size * fieldBytes + 2 * MIB;

export function announceForm(ctx: Context, length: number | null): FormAnnouncement {
  const { boundary } = parseContentType(ctx.get('Content-Type')).parameters;
  if (!boundary) throw invalid('/headers/content-type', 'must name the boundary of the form');
  return { kind: 'form', boundary, length };
}

/**
 * Reads a form: fields, then exactly one file part. Whatever is wrong is answered at once, not when the rest of the body
 * has come: multer reports errors only then, so its parser is listened to, and both are taken down with the body.
 */
export function receiveForm(
  ctx: Context,
  announced: FormAnnouncement,
  intake: Intake,
  limits: FormLimits,
  progress: ProgressLimits,
): Promise<TakenForm> {
  return new FormReader(announced, intake, limits).read(openBody(ctx, progress), ctx);
}

interface FileInfo {
  filename?: string;
}
interface FieldInfo {
  nameTruncated: boolean;
  valueTruncated: boolean;
}

class FormReader {
  readonly #announced: FormAnnouncement;
  readonly #intake: Intake;
  readonly #limits: FormLimits;
  readonly #heads: PartHeads;
  readonly #fields = new Map<string, string>();
  #splitter: FormSplitter | null = null;
  #taking: Promise<TakenForm> | null = null;
  #bodyBytes = 0;
  #fileBytes = 0;
  #fail: (error: unknown) => void = () => undefined;

  constructor(announced: FormAnnouncement, intake: Intake, limits: FormLimits) {
    this.#announced = announced;
    this.#intake = {
      ...intake,
      onBytes: (bytes) => {
        this.#fileBytes += bytes;
        intake.onBytes(bytes);
      },
    };
    this.#limits = limits;
    this.#heads = new PartHeads(announced.boundary);
  }

  /** Rejects with the first thing that is wrong; by then nothing is left of the file. */
  async read(body: Readable, ctx: Context): Promise<TakenForm> {
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    try {
      await Promise.race([failed, this.#parse(body, ctx)]);
      if (!this.#taking) throw invalid('/file', 'is missing: the form has to have one file part of this name');
      return await Promise.race([failed, this.#taking]);
    } catch (error) {
      body.destroy();
      this.#splitter?.destroy();
      const taken = await this.#taking?.catch(() => null);
      await taken?.file.discard();
      throw error;
    }
  }

  async #parse(body: Readable, ctx: Context): Promise<void> {
    body.on('error', this.#fail);
    body.on('data', (chunk: Buffer) => this.#watch(chunk));
    // The parser gets the watched body for the request: taking that down leaves the request itself to be answered.
    const request = Object.assign(body, { headers: ctx.req.headers });
    await this.#multer()
      .single(FILE_PART)({ req: request, res: ctx.res } as never, async () => undefined)
      .catch((error: unknown) => Promise.reject(fromParser(error)));
  }

  #multer(): multer.Instance {
    const options = {
      storage: { _handleFile: this.#take, _removeFile: (_request: unknown, _file: unknown, done: (error: null) => void) => done(null) },
      limits: {
        fieldNameSize: MAX_NAME_BYTES,
        fieldSize: this.#limits.fieldBytes,
        fields: FIELD_NAMES.size,
        files: 1,
        parts: FIELD_NAMES.size + 1,
        headerPairs: 16,
      },
      defParamCharset: 'utf8',
      streamHandler: (request: Readable, parser: Writable) => {
        const { boundary } = this.#announced;
        this.#splitter = new FormSplitter({ parser, boundary, heads: this.#heads, onError: (error) => this.#fail(malformed(error)) });
        this.#listen(parser, this.#splitter);
        request.pipe(this.#splitter);
      },
    };
    return multer(options as unknown as multer.Options);
  }

  #listen(parser: Writable, splitter: FormSplitter): void {
    const tooMany = (what: string) => (): void => this.#fail(invalid('', `has too many ${what}`));
    parser.on('error', (error: unknown) => this.#fail(fromParser(error)));
    parser.on('fieldsLimit', tooMany('fields')).on('filesLimit', tooMany('files: one is taken')).on('partsLimit', tooMany('parts'));
    parser.on('field', (name: string | undefined, value: string, info: FieldInfo) => this.#keepField(name, value, info));
    parser.on('file', (name: string | undefined, rest: Readable, info: FileInfo) => {
      splitter.confirmFile();
      // The parser comes to its end only when what it takes for the file has been read.
      rest.resume();
      this.#checkPart(name, info);
    });
  }

  #keepField(name: string | undefined, value: string, info: FieldInfo): void {
    const problem = this.#problemOf(name, info);
    if (problem) this.#fail(problem);
    else if (name !== undefined) this.#fields.set(name, value);
  }

  #problemOf(name: string | undefined, { nameTruncated, valueTruncated }: FieldInfo): WindlassError | null {
    const limit = this.#limits.fieldBytes;
    if (name === undefined || nameTruncated || Buffer.byteLength(name) > MAX_NAME_BYTES)
      return invalid('', `has a field whose name is missing or longer than ${MAX_NAME_BYTES} bytes`);
    if (name === FILE_PART) return invalid('/file', 'must be a file part: it has no filename');
    const pointer = `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!FIELD_NAMES.has(name)) return invalid(pointer, 'is not known here');
    if (this.#fields.has(name)) return invalid(pointer, 'is given more than once');
    if (this.#taking) return invalid(pointer, 'comes after the file; fields go before it');
    return valueTruncated ? new WindlassError('too_large', `The field ${name} is longer than ${limit} bytes.`, { limit }) : null;
  }

  #checkPart(name: string | undefined, { filename }: FileInfo): void {
    if (name !== FILE_PART) this.#fail(invalid('', 'has a file part with another name than file'));
    else if (!filename) this.#fail(invalid('/file', 'must be a file part: it has no filename'));
  }

  readonly #take = (
    _request: unknown,
    file: { originalname: string; mimetype: string },
    done: (error: unknown, info?: object) => void,
  ): void => {
    this.#taking = this.#takeFile(file);
    this.#taking.then(
      ({ size }) => done(null, { size }),
      (error: unknown) => {
        this.#fail(error);
        done(error);
      },
    );
  };

  async #takeFile({ originalname, mimetype }: { originalname: string; mimetype: string }): Promise<TakenForm> {
    const stream = this.#splitter?.file;
    if (!stream) throw new Error('the parser found a file before it was given a form');
    const fields = validate(uploadFields, Object.fromEntries(this.#fields));
    const contentType = mimetype === 'text/plain' && !this.#heads.declaresType(FILE_PART) ? OCTET_STREAM : mimetype;
    requireAllowed(contentType, this.#limits.allowedTypes);
    const claim = { contentType, size: null, sizeHint: this.#announced.length, sha256: fields.sha256 ?? null };
    const taken = await takeFile(() => stream, this.#intake, claim).catch((error: unknown) =>
      Promise.reject(error === stream.errored ? fromParser(error) : error),
    );
    return { ...taken, filename: cleanFilename(originalname), contentType, fields };
  }

  #watch(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes - this.#fileBytes <= formOverhead(this.#limits.fieldBytes)) return;
    const limit = formOverhead(this.#limits.fieldBytes);
    this.#fail(new WindlassError('too_large', `The form has more than ${limit} bytes beside its file.`, { limit }));
  }
}

/** What the parser complains about is the client's doing; errors of ours travel through it unchanged. */
const fromParser = (error: unknown): unknown => (isWindlassError(error) ? error : malformed(error));

const malformed = (cause: unknown): WindlassError => invalid('', 'is no well-formed form, or was cut off', cause);
