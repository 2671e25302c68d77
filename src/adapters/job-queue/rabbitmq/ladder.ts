/**
 * The delays that a job can have, in milliseconds. Each is a queue whose messages all expire after the same time: with a
 * time for each message a long one at the head would hold up the short ones behind it.
 */
export const RUNGS = [
  100, 300, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000,
] as const satisfies number[];

/**
 * The delay that comes nearest to the one asked for, by ratio; null for none at all. More than an hour becomes an hour:
 * the job comes early, and whoever takes it decides again.
 */
export function rungFor(delayMs: number): number | null {
  if (delayMs <= 0) return null;
  const distance = (rung: number): number => Math.abs(Math.log(rung / delayMs));
  return RUNGS.reduce<number>((nearest, rung) => (distance(rung) < distance(nearest) ? rung : nearest), RUNGS[0]);
}
