import { isWindlassError, WindlassError } from '../../errors.ts';

const RETRY_AFTER_SECONDS = 2;
/** How long the broker may take for an answer before it counts as away; milliseconds. */
export const ANSWER_MS = 5000;
/** The same for declaring queues: a quorum queue that is new starts processes on several nodes. */
export const DECLARE_MS = 30_000;

/** `detail` may reach clients: it names no host. */
export const unavailable = (detail: string, cause?: unknown): WindlassError =>
  new WindlassError('queue_unavailable', detail, { cause, retryAfter: RETRY_AFTER_SECONDS });

/**
 * Asks the broker for something: an answer that does not come within `ms`, and every error on the way, becomes
 * `queue_unavailable`. `what` completes the sentence "The message broker did not …".
 */
export async function asked<T>(what: string, work: () => Promise<T>, ms = ANSWER_MS): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(unavailable(`The message broker did not ${what} in time.`)), ms);
  try {
    return await Promise.race([work(), late.promise]);
  } catch (error) {
    throw isWindlassError(error) ? error : unavailable(`The message broker did not ${what}.`, error);
  } finally {
    clearTimeout(timer);
  }
}
