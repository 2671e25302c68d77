import { isFinal, type Upload, type UploadView, viewOf } from './core/upload.ts';
import { withDeadline } from './deadline.ts';
import type { Platform } from './platform.ts';

type WatchParts = Pick<Platform, 'uploads' | 'events'>;

const POLL_MS = 3000;

export interface WatchOptions {
  /** Versions up to this one are known already. */
  afterVersion?: number;
  signal?: AbortSignal;
  /** How often the record is read for what no event told; milliseconds. */
  pollMs?: number;
}

/**
 * The upload as it is, then each change: every version at most once, ascending. Events only make it quick: one that is
 * late, doubled or lost is made up for by reading the record. Ends when the state is final, the record is gone, or on
 * abort. Throws `repository_unavailable` when the first read fails; later failures are waited out.
 */
export async function* watchUpload(
  { uploads, events }: WatchParts,
  id: string,
  { afterVersion = 0, signal, pollMs = POLL_MS }: WatchOptions = {},
): AsyncGenerator<UploadView, void, undefined> {
  const arrived = new Map<number, UploadView>();
  const bell = new Bell(signal);
  const unsubscribe = events.subscribe(({ upload }) => {
    if (upload.id !== id) return;
    arrived.set(upload.version, upload);
    bell.ring();
  });
  let known = afterVersion;
  let record: Upload | null | undefined = await uploads.find(id).catch((error: unknown) => {
    unsubscribe();
    throw error;
  });
  try {
    for (;;) {
      if (record) arrived.set(record.version, viewOf(record));
      for (const version of [...arrived.keys()].sort((a, b) => a - b)) {
        const upload = arrived.get(version) as UploadView;
        arrived.delete(version);
        if (version > known) {
          known = version;
          yield upload;
          if (isFinal(upload.state)) return;
        }
      }
      if (record === null || (record && isFinal(record.state))) return;
      const rung = await bell.wait(pollMs);
      if (signal?.aborted) return;
      record = rung ? undefined : await uploads.find(id).catch(() => undefined);
    }
  } finally {
    unsubscribe();
  }
}

/**
 * The upload once its state is final, or as it is after `ms` milliseconds or on abort; null when there is no such
 * record. Throws `repository_unavailable` when it cannot be read at all.
 */
export async function waitUntilFinal(
  parts: WatchParts,
  id: string,
  { ms, signal, pollMs }: { ms: number; signal?: AbortSignal; pollMs?: number },
): Promise<UploadView | null> {
  return withDeadline(ms, async (deadline) => {
    const ended = signal ? AbortSignal.any([signal, deadline]) : deadline;
    let newest: UploadView | null = null;
    for await (const upload of watchUpload(parts, id, { signal: ended, ...(pollMs === undefined ? {} : { pollMs }) })) newest = upload;
    return newest;
  });
}

/** Lets one waiter sleep until it is rung, aborted or the time is over. A ring while nobody waits is kept. */
class Bell {
  readonly #signal: AbortSignal | undefined;
  #rung = false;
  #wake: (() => void) | null = null;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** True when it was rung. */
  async wait(ms: number): Promise<boolean> {
    if (!this.#rung && !this.#signal?.aborted)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#signal?.removeEventListener('abort', done);
          this.#wake = null;
          resolve();
        };
        const timer = setTimeout(done, ms);
        this.#signal?.addEventListener('abort', done, { once: true });
        this.#wake = done;
      });
    const rung = this.#rung;
    this.#rung = false;
    return rung;
  }
}
