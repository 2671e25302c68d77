/**
 * What comes of `work`, whose signal is aborted after `ms` milliseconds: it may then end, or go on. When it has ended the
 * timer goes, for it would keep until then all that listens: with `AbortSignal.timeout` what every call of that time left.
 */
export async function withDeadline<T>(ms: number, work: (deadline: AbortSignal) => Promise<T>): Promise<T> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), ms);
  try {
    return await work(over.signal);
  } finally {
    clearTimeout(timer);
  }
}
