/**
 * Does a piece of work for each item, at most `limit` at once; the results in the order of the items. The first failure
 * calls the others off by `signal`, waits for them to end, and is passed on.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  outer: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const stop = new AbortController();
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
  const results: R[] = [];
  const failures: unknown[] = [];
  const waiting = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of waiting) {
      if (signal.aborted) return;
      results[index] = await work(item, signal);
    }
  };
  const guarded = (): Promise<void> =>
    lane().catch((error: unknown) => {
      failures.push(error);
      stop.abort();
    });
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, guarded));
  if (failures.length > 0) throw failures[0];
  outer?.throwIfAborted();
  return results;
}
