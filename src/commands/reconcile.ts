import type { Command } from 'commander';
import type { ReconcileReport } from '../reconcile/reconciler.ts';
import type { OpenPlatform } from './open.ts';

type Open = () => Promise<Pick<OpenPlatform, 'reconciler' | 'close'>>;

/** Ends with exit code 1 when a task failed. That another process is at it already is told, and no failure. */
export function addReconcile(program: Command, open: Open): void {
  program
    .command('reconcile')
    .description('compare records, spool, disk and store once, and put right what crashes and outages left behind')
    .option('--dry-run', 'change nothing, only count')
    .option('--json', 'as one JSON object')
    .action(async ({ dryRun = false, json }: { dryRun?: boolean; json?: boolean }) => {
      const { reconciler, close } = await open();
      try {
        const report = await reconciler.run({ dryRun, everything: true });
        process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : summary(report));
        if (report?.tasks.some(({ error }) => error !== null)) process.exitCode = 1;
      } finally {
        await close();
      }
    });
}

function summary(report: ReconcileReport | null): string {
  if (!report) return 'another process is reconciling right now: nothing was left to do\n';
  const lines = report.tasks.map(
    ({ task, found, removed, error }) => `${task}: ${found} found, ${removed} put right${error ? `; ended early: ${error}` : ''}`,
  );
  const foreign = report.foreign.map((key) => `not ours, left alone: ${key}`);
  const busy = report.shared ? [] : ['another process is reconciling right now what servers share: left to it'];
  return `${[...lines, ...busy, ...foreign, ...(report.dryRun ? ['dry run: nothing was changed'] : [])].join('\n')}\n`;
}
