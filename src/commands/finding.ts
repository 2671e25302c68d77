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

/** A check that throws has found something broken. */
export async function checked(subject: string, advice: string, check: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await check();
  } catch (error) {
    return broken(subject, error instanceof Error ? error.message : String(error), advice);
  }
}
