/**
 * Carries out work that must be answered within `ms`, whatever the SDK's retries. `outer` calls it off too. The signal
 * given to `work` means nothing once this has resolved: what is still read then has limits of its own.
 */
export async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>, outer?: AbortSignal): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ms);
  try {
    return await work(outer ? AbortSignal.any([outer, late.signal]) : late.signal);
  } catch (error) {
    if (!late.signal.aborted || outer?.aborted) throw error;
    throw Object.assign(new Error(`the object store did not answer within ${ms} ms`, { cause: error }), { code: 'ETIMEDOUT' });
  } finally {
    clearTimeout(timer);
  }
}
