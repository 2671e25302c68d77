import { Placement } from './core/placement.ts';
import type { Platform } from './platform.ts';
import type { NodeEntry } from './ports/node-repository.ts';

/** How old the list of members may be, and how long one that did not answer is passed over. Milliseconds. */
export const MEMBERS_MS = 5000;
const AWAY_MS = 5000;

/**
 * The servers that direct files are spread over. One that is away stays a member: its files are its own when it is back.
 * Only `windlass drain` takes one out.
 */
export class Members {
  readonly #parts: Pick<Platform, 'nodes' | 'config' | 'clock'>;
  readonly #awayUntil = new Map<string, number>();
  #placement: Placement | null = null;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<Placement> | null = null;

  constructor(parts: Pick<Platform, 'nodes' | 'config' | 'clock'>) {
    this.#parts = parts;
  }

  /** As it was some seconds ago at most, or longer while the database is away. Throws `repository_unavailable` before it was ever read. */
  async placement(): Promise<Placement> {
    if (this.#placement && this.#parts.clock() - this.#readAt < MEMBERS_MS) return this.#placement;
    this.#reading ??= this.read().finally(() => {
      this.#reading = null;
    });
    try {
      return await this.#reading;
    } catch (error) {
      if (this.#placement) return this.#placement;
      throw error;
    }
  }

  /** As it is now. Throws `repository_unavailable`. */
  async read(): Promise<Placement> {
    const { nodes, config, clock } = this.#parts;
    const readAt = clock();
    this.#placement = new Placement(membersOf(await nodes.list(), config.DIRECT_MEMBERS));
    this.#readAt = readAt;
    return this.#placement;
  }

  /** Who should keep the file of an upload, the best first, without those that have just not answered. */
  async candidates(id: string): Promise<string[]> {
    const rank = (await this.placement()).rank(id);
    const present = rank.filter((name) => !this.isAway(name));
    return present.length > 0 ? present : rank;
  }

  /** Whether it has not answered some seconds ago. */
  isAway(name: string): boolean {
    return (this.#awayUntil.get(name) ?? 0) > this.#parts.clock();
  }

  noteAway(name: string): void {
    this.#awayUntil.set(name, this.#parts.clock() + AWAY_MS);
  }
}

function membersOf(entries: readonly NodeEntry[], listed: Platform['config']['DIRECT_MEMBERS']): { name: string; weight: number }[] {
  const draining = new Set(entries.filter((entry) => entry.draining).map(({ name }) => name));
  const members = listed ?? entries.flatMap(({ name, weight }) => (weight === null ? [] : [{ name, weight }]));
  return members.filter(({ name }) => !draining.has(name)).map(({ name, weight }) => ({ name, weight }));
}
