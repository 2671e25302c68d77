const BASE_MS = 1000;
const MAX_MS = 30_000;

/** How long to wait before try number `attempt` + 1: doubled each time, with jitter, unless the server said how long. */
export function pauseBefore(attempt, retryAfter = null) {
  if (retryAfter !== null) return Math.max(retryAfter * 1000, 250);
  const longest = Math.min(BASE_MS * 2 ** (attempt - 1), MAX_MS);
  return longest * (0.5 + Math.random() / 2);
}

/** Waits; ends early when the browser is back online, throws an AbortError when `signal` is aborted. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = (settle) => () => {
      clearTimeout(timer);
      removeEventListener('online', early);
      signal?.removeEventListener('abort', stop);
      settle();
    };
    const early = end(resolve);
    const stop = end(() => reject(new DOMException('aborted', 'AbortError')));
    const timer = setTimeout(early, ms);
    addEventListener('online', early);
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
  });
}

/**
 * Tries `run` up to `attempts` times as long as `again` finds its problem a passing one. `onWait` hears of each pause, so
 * that it can be shown. Throws the last problem.
 */
export async function retrying(run, { attempts, signal, again = (problem) => problem.passing, onWait = () => {} }) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (attempt >= attempts || !again(error)) throw error;
      const ms = pauseBefore(attempt, error.retryAfter);
      onWait({ problem: error, ms, attempt, attempts });
      await pause(ms, signal);
    }
  }
}
