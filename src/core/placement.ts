/**
 * Weighted rendezvous hashing (highest random weight): which member keeps the file of an upload. Each member gets a score
 * for each upload, and the highest keeps the file, so a member that joins or leaves moves no file between the others.
 * docs/direct-placement.md defines the scores for other implementations.
 */
export interface Member {
  name: string;
  /** Its share of the files in proportion to the others'; greater than 0. */
  weight: number;
}

interface Candidate extends Member {
  /** FNV-1a of the name. */
  high: number;
  low: number;
}

/** What a record calls the drive that all servers mount, where it would else name a server. */
export const SHARED_DRIVE = 'shared';

const ASCII = /^[\x20-\x7e]+$/;

/** The members at one moment, ready to be asked about many uploads. */
export class Placement {
  readonly #candidates: readonly Candidate[];

  /** Throws a RangeError for a weight that is none, and for a name that is given twice or is not ASCII. */
  constructor(members: readonly Member[]) {
    const names = new Set<string>();
    for (const { name, weight } of members) {
      if (!(weight > 0 && Number.isFinite(weight))) throw new RangeError(`not a weight: ${weight} of ${name}`);
      if (!ASCII.test(name)) throw new RangeError(`not a name: ${JSON.stringify(name)}`);
      if (names.has(name)) throw new RangeError(`twice a member: ${name}`);
      names.add(name);
    }
    this.#candidates = members.map(({ name, weight }) => ({ name, weight, ...fnv1a64(name) }));
  }

  get members(): readonly Member[] {
    return this.#candidates.map(({ name, weight }) => ({ name, weight }));
  }

  /** The member that keeps the file of this upload; null when there are none. */
  ownerOf(id: string): string | null {
    const hash = fnv1a64(id);
    let owner: string | null = null;
    let highest = 0;
    for (const candidate of this.#candidates) {
      const score = scoreOf(candidate, hash);
      if (score < highest || (score === highest && owner !== null && owner < candidate.name)) continue;
      owner = candidate.name;
      highest = score;
    }
    return owner;
  }

  /** All members, the owner first; then those that stand in for it, in this order. */
  rank(id: string): string[] {
    const hash = fnv1a64(id);
    const scored = this.#candidates.map((candidate) => ({ name: candidate.name, score: scoreOf(candidate, hash) }));
    return scored.sort(compare).map(({ name }) => name);
  }
}

/** What a member scores for an upload: the same everywhere and for ever, up to the last bit of the logarithm. */
export const score = ({ name, weight }: Member, id: string): number => scoreOf({ name, weight, ...fnv1a64(name) }, fnv1a64(id));

interface Scored {
  name: string;
  score: number;
}

/** Equal scores, should they ever be, by name. */
const compare = (a: Scored, b: Scored): number => b.score - a.score || (a.name < b.name ? -1 : 1);

/** An unsigned number of 64 bits in two halves: BigInt would cost fifty times as much. */
interface Halves {
  high: number;
  low: number;
}

const scoreOf = ({ weight, high, low }: Candidate, id: Halves): number => -weight / Math.log(unit(high ^ id.high, low ^ id.low));

/** The upper 53 bits of fmix64 as a number between 0 and 1, neither of them included. */
function unit(high: number, low: number): number {
  const mixed = fmix64(high, low);
  return (mixed.high * 2 ** 21 + (mixed.low >>> 11) + 0.5) / 2 ** 53;
}

/** FNV-1a of 64 bits (Fowler, Noll, Vo) over an ASCII text. */
export function fnv1a64(text: string): Halves {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (let at = 0; at < text.length; at += 1) {
    low = (low ^ text.charCodeAt(at)) >>> 0;
    // Times 2^40 + 0x1b3.
    const carried = Math.floor((low * 0x1b3) / 2 ** 32);
    high = (Math.imul(high, 0x1b3) + carried + (low << 8)) >>> 0;
    low = Math.imul(low, 0x1b3) >>> 0;
  }
  return { high, low };
}

/** What MurmurHash3 ends with (Appleby): each bit of the result depends on all bits. */
export function fmix64(high: number, low: number): Halves {
  let mixed = times(high, (low ^ (high >>> 1)) >>> 0, 0xff51afd7, 0xed558ccd);
  mixed = times(mixed.high, (mixed.low ^ (mixed.high >>> 1)) >>> 0, 0xc4ceb9fe, 0x1a85ec53);
  return { high: mixed.high, low: (mixed.low ^ (mixed.high >>> 1)) >>> 0 };
}

/** The lower 64 bits of a product. */
function times(high: number, low: number, byHigh: number, byLow: number): Halves {
  const crossed = Math.imul(high, byLow) + Math.imul(low, byHigh);
  return { high: (upper32(low, byLow) + crossed) >>> 0, low: Math.imul(low, byLow) >>> 0 };
}

/** The upper 32 bits of a product of two unsigned numbers of 32. */
function upper32(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000);
}
