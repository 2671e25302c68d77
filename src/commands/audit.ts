import { type Command, InvalidArgumentError } from 'commander';
import { type AuditReport, audit } from '../audit.ts';
import type { OpenPlatform } from './open.ts';

type Open = () => Promise<Pick<OpenPlatform, 'platform' | 'close'>>;

/** Ends with exit code 1 when there are problems. */
export function addAudit(program: Command, open: Open): void {
  program
    .command('audit')
    .description('check that every accepted upload is there with its SHA-256, and nothing that no record owns; changes nothing')
    .option('--grace <seconds>', 'what is younger is no problem (default: ORPHAN_GRACE_SECONDS)', seconds)
    .option('--no-hash', 'compare sizes only, without reading the bytes')
    .option('--json', 'as one JSON object')
    .action(async ({ grace, hash, json }: { grace?: number; hash: boolean; json?: boolean }) => {
      const { platform, close } = await open();
      try {
        const report = await audit(platform, { graceSeconds: grace ?? platform.config.ORPHAN_GRACE_SECONDS, hash });
        process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : summary(report));
        if (report.problems.length > 0) process.exitCode = 1;
      } finally {
        await close();
      }
    });
}

function seconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It takes a whole number of seconds.');
  return Number(text);
}

function summary({ checked, hashedBytes, problems }: AuditReport): string {
  const lines = problems.map(({ kind, subject, detail }) => `${kind} ${subject}: ${detail}`);
  const verdict = problems.length === 0 ? 'no problems' : `${problems.length} problem(s)`;
  return `${[...lines, `${checked} records checked, ${hashedBytes} bytes read: ${verdict}`].join('\n')}\n`;
}
