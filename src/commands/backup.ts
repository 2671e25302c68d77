import { type Command, InvalidArgumentError } from 'commander';
import { isUploadId } from '../core/keys.ts';
import { Throttle } from '../rebalance/throttle.ts';
import { type CatchUpReport, catchUp } from '../relay/backup-catch-up.ts';
import { BackupJob } from '../relay/backup-job.ts';
import { CountingLine } from './counting-line.ts';
import type { OpenPlatform } from './open.ts';
import { untilInterrupted } from './rebalance.ts';
import { formatBytes } from './text.ts';

type Open = () => Promise<Pick<OpenPlatform, 'platform' | 'ledger' | 'close'>>;

const EXAMPLES = `
Examples:
  windlass backup --dry-run        # how many direct files have no backup
  windlass backup                  # make those that are missing; can be broken off and begun again
  windlass backup --check          # also ask the store whether it has the ones that are there by the records
  windlass backup --after 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99   # go on where a run was broken off
  REBALANCE_BYTES_PER_SECOND=200MiB windlass backup              # faster

With DIRECT_BACKUP=true workers back new files up by themselves; this is for older ones, and for those that were given up.`;

interface Options {
  dryRun?: boolean;
  check?: boolean;
  after?: string;
  json?: boolean;
}

/** Ends with exit code 1 when files are still without a backup, or it was broken off. */
export function addBackup(program: Command, open: Open): void {
  program
    .command('backup')
    .description('copy the direct files that have no backup yet to the object store')
    .option('--check', 'also look whether the copies that are there by the records are there, and make them again')
    .option('--after <id>', 'only uploads after this one', uploadId)
    .option('--dry-run', 'copy nothing, only count')
    .option('--json', 'as one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async ({ dryRun = false, check = false, after, json = false }: Options) => {
      const { platform, ledger, close } = await open();
      const signal = untilInterrupted('copies that were not finished are made by workers, or by the next run');
      const line = new CountingLine(process.stderr, () => performance.now());
      const onProgress = (report: Readonly<CatchUpReport>): void => line.show(sentence(report, dryRun));
      const throttle = new Throttle(platform.config.REBALANCE_BYTES_PER_SECOND, () => performance.now());
      try {
        const job = new BackupJob({ ...platform, ledger, throttle });
        const report = await catchUp({ ...platform, ledger, job }, { dryRun, check, after, signal, onProgress }).finally(() => line.end());
        process.stdout.write(json ? `${JSON.stringify({ dryRun, ...report }, null, 2)}\n` : `${sentence(report, dryRun)}\n`);
        if (signal.aborted) process.stderr.write(`broken off${report.last ? `; go on with --after ${report.last}` : ''}\n`);
        if (signal.aborted || report.postponed + report.failed > 0) process.exitCode = 1;
      } finally {
        await close();
      }
    });
}

function uploadId(text: string): string {
  if (!isUploadId(text)) throw new InvalidArgumentError('It takes the id of an upload.');
  return text;
}

function sentence({ checked, missing, missingBytes, made, madeBytes, postponed, failed }: CatchUpReport, dryRun: boolean): string {
  const found = `${checked} direct files looked at, ${missing} (${formatBytes(missingBytes)}) without a backup`;
  if (dryRun) return `${found}; dry run: nothing was copied`;
  const stayed = `${postponed > 0 ? `, ${postponed} must wait` : ''}${failed > 0 ? `, ${failed} failed` : ''}`;
  return `${found}, ${made} (${formatBytes(madeBytes)}) copied${stayed}`;
}
