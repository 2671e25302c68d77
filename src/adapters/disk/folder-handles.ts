import { close, constants, fsync, open } from 'node:fs';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { promisify } from 'node:util';

/** As many as the files and notes of a tenant are spread over in the object store, before and after their move. */
const MAX_OPEN = 1024;

interface Handle {
  fd: number;
  users: number;
  /** No longer kept: closed by its last user. */
  dropped: boolean;
  /** The flush that has not begun: it takes along all that is asked for until then. */
  next: Promise<void> | null;
  /** Ends with the flush under way. */
  flushing: Promise<unknown>;
}

const [openFd, flush, closeFd] = [promisify(open), promisify(fsync), promisify(close)];

/**
 * Folders kept open, so that flushing one costs one call instead of three: a small upload is mostly such calls. The ones
 * used last are kept. Files that are put into one at the same time share a flush.
 */
export class FolderHandles {
  readonly #handles = new Map<string, Promise<Handle>>();
  readonly #flush: (fd: number) => Promise<void>;

  constructor(flushFd: (fd: number) => Promise<void> = flush) {
    this.#flush = flushFd;
  }

  /** Flushes to the disk what the folder's entries are now. Throws ENOENT where there is no such folder. */
  async sync(path: string): Promise<void> {
    const handle = await this.#take(path);
    try {
      handle.next ??= this.#flushNext(handle);
      await handle.next;
    } finally {
      handle.users -= 1;
      await closeUnused(handle);
    }
  }

  /** To be called when the folder is gone: what takes its place is another one. */
  forget(path: string): void {
    const kept = this.#handles.get(path);
    this.#handles.delete(path);
    kept?.then(drop, () => undefined);
  }

  /** Not before the one under way has ended, which may have begun too early for an entry made since. */
  async #flushNext(handle: Handle): Promise<void> {
    await handle.flushing;
    await endOfTurn();
    handle.next = null;
    const flushing = this.#flush(handle.fd);
    handle.flushing = flushing.catch(() => undefined);
    await flushing;
  }

  async #take(path: string): Promise<Handle> {
    const kept = this.#handles.get(path) ?? this.#open(path);
    // Put at the end: the first is the one used longest ago.
    this.#handles.delete(path);
    this.#handles.set(path, kept);
    const handle = await kept;
    handle.users += 1;
    return handle;
  }

  #open(path: string): Promise<Handle> {
    const [oldest] = this.#handles.keys();
    if (this.#handles.size >= MAX_OPEN && oldest !== undefined) this.forget(oldest);
    const opening = openFd(path, constants.O_RDONLY | constants.O_DIRECTORY).then((fd) => ({
      fd,
      users: 0,
      dropped: false,
      next: null,
      flushing: Promise.resolve(),
    }));
    opening.catch(() => this.#handles.delete(path));
    return opening;
  }
}

async function drop(handle: Handle): Promise<void> {
  handle.dropped = true;
  await closeUnused(handle);
}

async function closeUnused(handle: Handle): Promise<void> {
  if (handle.dropped && handle.users === 0) await closeFd(handle.fd);
}
