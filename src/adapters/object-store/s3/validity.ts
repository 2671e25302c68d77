/** S3's limit for a link, in seconds. */
const LONGEST = 7 * 86_400;

/** Whole seconds, of a clock that is looked at in whole seconds; not above zero when there is none left. Epoch ms. */
export const secondsLeft = (now: number, expiresAt: number): number => Math.floor(expiresAt / 1000) - Math.floor(now / 1000);

/** When a link is signed, and how many seconds it works from then on. */
export interface Validity {
  from: Date;
  seconds: number;
}

/**
 * S3 counts in whole seconds, from a date in whole seconds: rounded down, no link outlives `expiresAt`. One that has less
 * than a second left is dated back, because S3 knows no link of no duration; the store then refuses it in time. Epoch ms.
 */
export function validity(now: number, expiresAt: number): Validity {
  const end = Math.floor(expiresAt / 1000);
  const start = Math.min(Math.floor(now / 1000), end - 1);
  return { from: new Date(start * 1000), seconds: Math.min(end - start, LONGEST) };
}
