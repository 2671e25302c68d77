import { setTimeout as pause } from 'node:timers/promises';
import { parseKey } from './core/keys.ts';
import type { Platform } from './platform.ts';
import { inBatches } from './reconcile/paging.ts';

type HandOverParts = Pick<Platform, 'spool' | 'uploads' | 'log'>;

export interface HandOverOptions {
  /** Longest wait, in milliseconds. */
  ms: number;
  /** Between two looks at the spool, in milliseconds. */
  intervalMs?: number;
}

const INTERVAL_MS = 500;

/**
 * Waits until workers have fetched what lies in this server's spool: nobody can once it has ended. How many files are
 * left, null where that is not known. What is left stays on the disk and is fetched when the server is back with it.
 */
export async function handOver(parts: HandOverParts, { ms, intervalMs = INTERVAL_MS }: HandOverOptions): Promise<number | null> {
  const { log } = parts;
  const deadline = performance.now() + ms;
  let left = await waitingIn(parts);
  if (left === 0) return left;
  log.info({ files: left, seconds: ms / 1000 }, 'waiting until workers have fetched what lies in the spool');
  while (left !== 0 && performance.now() < deadline) {
    await pause(intervalMs);
    left = await waitingIn(parts);
  }
  if (left === 0) log.info('workers have fetched everything');
  else log.warn({ files: left }, 'files stay in the spool, and wait for this server to come back with its disk');
  return left;
}

/** Spooled files that a worker still has to fetch, not those that failed or belong to nobody; null where that cannot be told now. */
async function waitingIn({ spool, uploads, log }: HandOverParts): Promise<number | null> {
  let waiting = 0;
  try {
    for await (const batch of inBatches(spool.keys(''))) {
      const ids = batch.map((key) => parseKey(key)?.id).filter((id) => id !== undefined);
      for (const { state } of await uploads.findMany(ids)) if (state === 'queued' || state === 'relaying') waiting += 1;
    }
    return waiting;
  } catch (error) {
    log.debug({ err: error }, 'what waits in the spool could not be told');
    return null;
  }
}
