import type { Platform } from './platform.ts';

const INTERVAL_MS = 20_000;
const RETRY_MS = 1000;

/** Keeps the address of this server where others find it: they read, over it, what lies on its disk. */
export class Registration {
  readonly #parts: Pick<Platform, 'nodes' | 'config' | 'clock' | 'log'>;
  readonly #url: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: Pick<Platform, 'nodes' | 'config' | 'clock' | 'log'>, url: string) {
    this.#parts = parts;
    this.#url = url;
  }

  /** Resolves when the first try is over, whatever came of it: a database that is away is tried again. */
  async start(): Promise<void> {
    const { nodes, config, clock, log } = this.#parts;
    const weight = config.DIRECT_PLACEMENT === 'rendezvous' ? config.DIRECT_WEIGHT : null;
    const registered = await nodes.register({ name: config.NODE_NAME, url: this.#url, seenAt: clock(), weight }).then(
      () => true,
      (error: unknown) => {
        log.warn({ err: error, node: config.NODE_NAME }, 'this server could not register its address; it tries again');
        return false;
      },
    );
    this.#timer = setTimeout(() => void this.start(), registered ? INTERVAL_MS : RETRY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
