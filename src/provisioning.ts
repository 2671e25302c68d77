import type { Platform } from './platform.ts';
import type { ProvisionStep } from './ports/provision.ts';

const RETRY_MS = 5000;

interface ProvisioningParts {
  /** Makes what the chosen parts need at their servers; safe to repeat. */
  provision: () => Promise<ProvisionStep[]>;
  log: Platform['log'];
}

/** Makes what a server needs when it starts. What is away then is no reason not to start: it is tried again until it is there. */
export class Provisioning {
  readonly #parts: ProvisioningParts;
  #timer: NodeJS.Timeout | undefined;
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
      log.warn({ err: error }, 'what the server needs could not be made; it tries again, and `windlass provision` tells more');
      this.#timer = setTimeout(() => void this.start(), RETRY_MS);
      this.#timer.unref();
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
