import type { Delivery, Settlement } from '../../src/ports/job-queue.ts';

export interface HeldDelivery extends Delivery {
  settle(settlement: Settlement): void;
}

/** A handler that leaves every job to the test: `next` gives them one by one, and each waits until it is settled. */
export class HeldDeliveries {
  /** How many are not settled, now and at the most. */
  open = 0;
  most = 0;
  readonly #arrived: HeldDelivery[] = [];
  readonly #waiting: ((delivery: HeldDelivery) => void)[] = [];

  readonly handler = async (delivery: Delivery): Promise<Settlement> => {
    this.open += 1;
    this.most = Math.max(this.most, this.open);
    const { promise, resolve } = Promise.withResolvers<Settlement>();
    const held = { ...delivery, settle: resolve };
    const waiting = this.#waiting.shift();
    if (waiting) waiting(held);
    else this.#arrived.push(held);
    try {
      return await promise;
    } finally {
      this.open -= 1;
    }
  };

  next(): Promise<HeldDelivery> {
    const arrived = this.#arrived.shift();
    return arrived ? Promise.resolve(arrived) : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
