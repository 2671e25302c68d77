import { fmix64, fnv1a64 } from '../src/core/placement.ts';

function hash(text: string): number {
  const { high, low } = fnv1a64(text);
  const mixed = fmix64(high, low);
  return mixed.high * 2 ** 21 + (mixed.low >>> 11);
}

/** Consistent hashing as it is usually done: points of all members on a ring, a file belongs to the next point. */
export class Ring {
  readonly #points: Float64Array;
  readonly #owners: string[];

  /** `points` for each member of weight 1. */
  constructor(weights: ReadonlyMap<string, number>, points: number) {
    const placed: [at: number, owner: string][] = [];
    for (const [name, weight] of weights)
      for (let point = 0; point < Math.round(points * weight); point += 1) placed.push([hash(`${name}#${point}`), name]);
    placed.sort(([a], [b]) => a - b);
    this.#points = Float64Array.from(placed, ([at]) => at);
    this.#owners = placed.map(([, owner]) => owner);
  }

  ownerOf(id: string): string | null {
    const at = hash(id);
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle] ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return this.#owners[low % this.#owners.length] ?? null;
  }
}

/** What comes to mind first. Knows no weights. */
export class Modulo {
  readonly #names: readonly string[];

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  ownerOf(id: string): string | null {
    return this.#names[hash(id) % this.#names.length] ?? null;
  }
}
