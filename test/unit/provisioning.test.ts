import { afterEach, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Provisioning } from '../../src/provisioning.ts';
import { eventually } from '../support/eventually.ts';

interface Line {
  level: number;
  err?: { message: string };
  subject?: string;
}

let provisioning: Provisioning | null = null;
afterEach(() => provisioning?.stop());

/** Tries with these outcomes, one after the other; the last one repeats. */
function startWith(outcomes: readonly (Error | null)[], lines: Line[]): void {
  let tries = 0;
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const provision = async () => {
    const outcome = outcomes[Math.min(tries, outcomes.length - 1)];
    tries += 1;
    if (outcome) throw outcome;
    return [{ subject: 'bucket', outcome: 'made' as const, detail: 'uploads' }];
  };
  provisioning = new Provisioning({ provision, log, pauses: { RETRY_BASE_SECONDS: 0.001, RETRY_MAX_SECONDS: 0.01 } });
  void provisioning.start();
}

const warnings = (lines: readonly Line[]): string[] => lines.filter(({ level }) => level >= 40).map(({ err }) => err?.message ?? '');

test('a reason that stays is a warning once; another one is told again, and so is the end of it', async () => {
  const lines: Line[] = [];
  const [away, denied] = [new Error('away'), new Error('AccessDenied')];
  startWith([away, away, denied, denied, denied, null], lines);
  await eventually(() => expect(lines.at(-1)).toMatchObject({ level: 30, subject: 'bucket' }));
  expect(warnings(lines)).toEqual(['away', 'AccessDenied']);
});
