import type { Connection } from '../client/connection.ts';
import { isUnreachable } from '../client/failures.ts';
import type { Config } from '../config.ts';
import { broken, checked, type Finding, ok, skipped } from './finding.ts';

/** How long a server may take to answer the doctor. Milliseconds. */
export const ANSWER_MS = 10_000;
/** Links last minutes; the Date header has whole seconds. */
const MAX_SKEW_MS = 30_000;

/** Address that clients reach the server by; null where the settings do not tell. */
export function publicUrlOf({ PUBLIC_URL, PORT }: Config): string | null {
  return PUBLIC_URL ?? (PORT === 0 ? null : `http://localhost:${PORT}`);
}

/** Whether a server answers at an address, and what the time is there. Where none runs that is said, and nothing is broken. */
export async function checkAddress(connection: Connection, publicUrl: string | null, now: number): Promise<Finding> {
  if (publicUrl === null) return skipped('public address', 'PORT is 0 and PUBLIC_URL is not set, so it is not known');
  return checked('public address', 'Check PUBLIC_URL.', async () => {
    try {
      const answer = await connection.send({ method: 'HEAD', url: new URL(`${publicUrl}/`), headers: {} });
      answer.resume();
      return checkClock('clock', publicUrl, answer.headers.date, now);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      const advice = 'Start the server and run this again; if it runs, PUBLIC_URL is not its address.';
      return skipped('public address', `no server answers at ${publicUrl}: ${error.message}`, advice);
    }
  });
}

/** `date` is the header of an answer that came at `now` (epoch ms). */
export function checkClock(subject: string, place: string, date: string | undefined, now: number): Finding {
  if (!date) return skipped(subject, `${place} tells no time`);
  const skew = Math.abs(now - Date.parse(date));
  if (skew <= MAX_SKEW_MS) return ok(subject, `within ${Math.ceil(skew / 1000)} s of ${place}`);
  const advice = 'Synchronise the clocks (NTP): links run out too early or too late.';
  return broken(subject, `${Math.round(skew / 1000)} s away from ${place}`, advice);
}
