import { isWindlassError } from '../errors.ts';

/** What `windlass doctor` found out about one thing. */
export interface Finding {
  subject: string;
  state: 'ok' | 'warning' | 'broken' | 'skipped';
  detail: string;
  /** What to do about it. */
  advice: string | null;
}

export const ok = (subject: string, detail: string): Finding => ({ subject, state: 'ok', detail, advice: null });
export const skipped = (subject: string, detail: string, advice: string | null = null): Finding => ({
  subject,
  state: 'skipped',
  detail,
  advice,
});
export const warning = (subject: string, detail: string, advice: string): Finding => ({ subject, state: 'warning', detail, advice });
export const broken = (subject: string, detail: string, advice: string): Finding => ({ subject, state: 'broken', detail, advice });

/** What to do, whatever the reason, or by the reason (as `reasonOf` tells it). */
export type Advice = string | ((reason: string) => string);

/** A check that throws has found something broken. */
export async function checked(subject: string, advice: Advice, check: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await check();
  } catch (error) {
    const reason = reasonOf(error);
    return broken(subject, reason, typeof advice === 'string' ? advice : advice(reason));
  }
}

/** An error for the operator: with what the server behind it said, which clients do not get to read. */
export function reasonOf(error: unknown): string {
  if (!isWindlassError(error)) return messageOf(error);
  const cause = error.cause === undefined ? '' : messageOf(error.cause);
  return cause === '' || error.detail.includes(cause) ? error.detail : `${error.detail.replace(/\.$/, '')} (${cause})`;
}

function messageOf(error: unknown): string {
  const { name = '', message = '', code } = (error ?? {}) as { name?: string; message?: string; code?: unknown };
  // The SDK of S3 says UnknownError where the answer had no body.
  return message === '' || message === 'UnknownError' ? String(code ?? name) : message;
}
