import type { Readable } from 'node:stream';
import type { UploadAnswer } from '../client/answers.ts';
import type { ApiClient } from '../client/api-client.ts';
import { explain, isUnreachable, LocalFailure } from '../client/failures.ts';
import { Limiter } from '../client/limiter.ts';
import { mediaTypeOf } from '../client/media-type.ts';
import type { Tracker } from '../client/order.ts';
import { sendBody } from '../client/send-body.ts';
import { PresignedUpload } from '../client/send-presigned.ts';
import { openSource, type Source } from '../client/source.ts';
import type { UnfinishedUploads } from '../client/unfinished-uploads.ts';
import { EXIT, reportOf } from './exit-codes.ts';
import { ProgressLine } from './progress-line.ts';
import { formatBytes, printable } from './text.ts';
import type { UploadOptions } from './upload.ts';

/** How often a signal ends the run: as shells report SIGINT. */
const INTERRUPTED = 130;

/** A file named on the command line, and what it turned out to be. */
interface Item {
  file: string;
  source: Source | Error;
}

/** One run of `windlass upload`: several files at once, each reported as it ends. */
export class UploadRun {
  readonly #options: UploadOptions;
  readonly #unfinished: UnfinishedUploads;
  readonly #stdin: Readable;
  readonly #limiter: Limiter;
  #progress: ProgressLine | null = null;
  #exit: number = EXIT.done;
  #unreachable: Error | null = null;

  constructor(options: UploadOptions, unfinished: UnfinishedUploads, stdin: Readable) {
    this.#options = options;
    this.#unfinished = unfinished;
    this.#stdin = stdin;
    this.#limiter = new Limiter(options.parallel);
  }

  /** The exit code. */
  async start(client: ApiClient, files: string[]): Promise<number> {
    const items = await Promise.all(files.map((file) => this.#open(file)));
    if (!this.#options.json) this.#progress = new ProgressLine(process.stderr, Date.now, totalsOf(items));
    const onInterrupt = (): void => this.#interrupted();
    process.once('SIGINT', onInterrupt);
    try {
      const lanes = new Limiter(this.#options.parallel);
      await Promise.all(items.map((item) => lanes.run(() => this.#uploadOne(client, item))));
      return this.#exit;
    } finally {
      process.off('SIGINT', onInterrupt);
      this.#progress?.stop();
    }
  }

  tellRetry(error: unknown, pauseMs: number): void {
    this.#progress?.print(process.stderr, `${printable(explain(error).message)}; trying again in ${Math.ceil(pauseMs / 1000)} s\n`);
  }

  async #open(file: string): Promise<Item> {
    try {
      return { file, source: await openSource(file, this.#stdin, this.#options.name) };
    } catch (error) {
      return { file, source: error as Error };
    }
  }

  async #uploadOne(client: ApiClient, { file, source }: Item): Promise<void> {
    try {
      if (source instanceof Error) throw source;
      // When nobody answers, the files that are left need not each find that out.
      if (this.#unreachable) throw this.#unreachable;
      this.#succeeded(file, await this.#send(client, source));
    } catch (error) {
      this.#failed(file, error);
    } finally {
      this.#progress?.fileDone();
    }
  }

  #send(client: ApiClient, source: Source): Promise<UploadAnswer> {
    const { strategy, resource, metadata, type, wait } = this.#options;
    const order = { contentType: type ?? mediaTypeOf(source.name), resource, metadata, wait };
    const tracker: Tracker = this.#progress?.tracker() ?? { stage: () => undefined, sent: () => undefined, kept: () => undefined };
    const parts = { client, limiter: this.#limiter, unfinished: this.#unfinished };
    if (strategy !== 'presign') return sendBody(parts, strategy, source, order, tracker);
    if (source.kind === 'file') return new PresignedUpload(parts, source, order, tracker).run();
    throw new LocalFailure('unknown_size', 'it is no plain file, so its size is not known', 'Use --strategy direct or relay.');
  }

  #succeeded(file: string, upload: UploadAnswer): void {
    const { state, id, size } = upload;
    this.#write(process.stdout, { file, ok: true, upload }, `${state}  ${id}  ${printable(file)}  ${formatBytes(size)}\n`);
  }

  #failed(file: string, error: unknown): void {
    if (isUnreachable(error)) this.#unreachable = error;
    this.#exit = isUnreachable(error) || this.#exit === EXIT.unreachable ? EXIT.unreachable : EXIT.failed;
    this.#write(process.stderr, { file, ok: false, error: explain(error) }, reportOf(file, error));
  }

  #write(stream: NodeJS.WriteStream, json: unknown, text: string): void {
    if (this.#progress) this.#progress.print(stream, text);
    else process.stdout.write(`${JSON.stringify(json)}\n`);
  }

  #interrupted(): never {
    this.#progress?.stop();
    const hint = this.#options.strategy === 'presign' ? '; run the same command again to continue' : '';
    process.stderr.write(`interrupted${hint}\n`);
    process.exit(INTERRUPTED);
  }
}

function totalsOf(items: Item[]): { files: number; bytes: number | null } {
  let bytes: number | null = 0;
  for (const { source } of items) {
    if (source instanceof Error) continue;
    bytes = source.kind === 'stream' || bytes === null ? null : bytes + source.size;
  }
  return { files: items.length, bytes };
}
