import { type BackoffTerms, backoffMs } from './core/backoff.ts';
import type { Platform } from './platform.ts';
import type { ProvisionStep } from './ports/provision.ts';

/** Rights that are missing do not come within seconds, a server that was away mostly does. */
const PAUSES = { RETRY_BASE_SECONDS: 5, RETRY_MAX_SECONDS: 300 };

interface ProvisioningParts {
  /** Makes what the chosen parts need at their servers; safe to repeat. */
  provision: () => Promise<ProvisionStep[]>;
  log: Platform['log'];
  /** Between tries. */
  pauses?: BackoffTerms;
}

/** Makes what a server needs when it starts. What is away then is no reason not to start: it is tried again until it is there. */
export class Provisioning {
  readonly #parts: ProvisioningParts;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #told = '';
  #stopped = false;

  constructor(parts: ProvisioningParts) {
    this.#parts = parts;
  }

  /** Resolves when the first try is over, whatever came of it. */
  async start(): Promise<void> {
    const { provision, log } = this.#parts;
    try {
      for (const { subject, outcome, detail } of await provision())
        if (outcome !== 'unchanged') log.info({ subject, outcome, detail }, 'provisioned');
    } catch (error) {
      if (this.#stopped) return;
      this.#failures += 1;
      this.#tell(error);
      this.#timer = setTimeout(() => void this.start(), backoffMs(this.#failures, this.#parts.pauses ?? PAUSES));
      this.#timer.unref();
    }
  }

  /** The same reason is a warning once. */
  #tell(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const level = reason === this.#told ? 'debug' : 'warn';
    this.#told = reason;
    this.#parts.log[level]({ err: error }, 'what the server needs could not be made; it tries again, and `windlass provision` tells more');
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
