import type { Background } from '../background/background.ts';
import type { Appended, FileOperations } from './file-operations.ts';
import { Pace } from './pace.ts';

/** The main thread's end of what the background thread does with the files of one disk. */
export class FileCalls {
  readonly #background: Background;
  readonly #pace = new Pace();

  constructor(background: Background) {
    this.#background = background;
  }

  /**
   * Whether to make the next small file here: not while the disk takes so long that files would wait for each other,
   * where the threads of Node's pool wait side by side. Asking counts as making it.
   */
  take(): boolean {
    return this.#pace.take();
  }

  async append(path: string, isNew: boolean, chunks: readonly Uint8Array[]): Promise<Appended['entry']> {
    const { entry, tookMs } = await this.#call('files.append', path, isNew, chunks);
    this.#pace.took(tookMs);
    return entry;
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call('files.rename', from, to);
  }

  remove(path: string): Promise<void> {
    return this.#call('files.remove', path);
  }

  #call<N extends keyof FileOperations>(name: N, ...args: Parameters<FileOperations[N]>): Promise<ReturnType<FileOperations[N]>> {
    return this.#background.call(name, args) as Promise<ReturnType<FileOperations[N]>>;
  }
}
