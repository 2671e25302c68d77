import type { Readable, Writable } from 'node:stream';
import multer from '@koa/multer';
import type { Context } from 'koa';
import { isWindlassError } from '../../errors.ts';
import { FIELD_NAMES, invalid } from './fields.ts';
import type { FormAnnouncement } from './form.ts';
import { FILE_PART, type FieldInfo, FormFields, MAX_NAME_BYTES } from './form-fields.ts';
import { type FormLimits, formOverhead, malformed, type TakenForm, takeFormFile, tooMuchBeside } from './form-file.ts';
import { FormSplitter } from './form-splitter.ts';
import type { Intake } from './intake.ts';
import { PartHeads } from './part-heads.ts';

interface FileInfo {
  filename?: string;
}

/**
 * A form read by multer. Whatever is wrong is answered at once, not when the rest of the body has come: multer reports
 * errors only then, so its parser is listened to, and both are taken down with the body.
 */
export class FormReader {
  readonly #announced: FormAnnouncement;
  readonly #intake: Intake;
  readonly #limits: FormLimits;
  readonly #heads: PartHeads;
  readonly #fields: FormFields;
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
    this.#fields = new FormFields(limits.fieldBytes);
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
    parser.on('field', (name: string | undefined, value: string, info: FieldInfo) => {
      const problem = this.#fields.add(name, value, info);
      if (problem) this.#fail(problem);
    });
    parser.on('file', (name: string | undefined, rest: Readable, info: FileInfo) => {
      splitter.confirmFile();
      // The parser comes to its end only when what it takes for the file has been read.
      rest.resume();
      this.#checkPart(name, info);
    });
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
    this.#fields.beginFile();
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
    const declared = mimetype === 'text/plain' && !this.#heads.declaresType(FILE_PART) ? null : mimetype;
    const form = { fields: this.#fields, filename: originalname, contentType: declared, intake: this.#intake, limits: this.#limits };
    return takeFormFile(() => stream, { ...form, sizeHint: this.#announced.length }).catch((error: unknown) =>
      Promise.reject(error === stream.errored ? fromParser(error) : error),
    );
  }

  #watch(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes - this.#fileBytes <= formOverhead(this.#limits.fieldBytes)) return;
    const limit = formOverhead(this.#limits.fieldBytes);
    this.#fail(tooMuchBeside(limit));
  }
}

/** What the parser complains about is the client's doing; errors of ours travel through it unchanged. */
const fromParser = (error: unknown): unknown => (isWindlassError(error) ? error : malformed(error));
