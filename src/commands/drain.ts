import type { Command } from 'commander';
import { type DrainReport, drain } from '../rebalance/drain.ts';
import { CountingLine } from './counting-line.ts';
import { type OpenForMoves, requireSpread, sentence, untilInterrupted } from './rebalance.ts';
import { formatBytes } from './text.ts';

const EXAMPLES = `
Examples:
  windlass drain api-4             # before api-4 is taken away for good
  windlass drain api-4 --undo      # it gets files again

The server has to run while it is emptied. Stop it when the command says that it is empty: it is then forgotten, and one
that starts later under its name is a new one.`;

/** Ends with exit code 1 when something is left on the server. */
export function addDrain(program: Command, open: OpenForMoves): void {
  program
    .command('drain')
    .description('give a server no new direct files, move those that it has to the others, then forget it')
    .argument('<node>', 'name of the server')
    .option('--undo', 'let it have files again')
    .option('--json', 'as one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (node: string, { undo = false, json = false }: { undo?: boolean; json?: boolean }) => {
      const opened = await open();
      try {
        requireSpread(opened);
        if (undo) return await undone(opened, node);
        if (!json) process.stderr.write(`${node}: gets no new files as soon as all servers know, in some seconds\n`);
        const line = new CountingLine(process.stderr, () => performance.now());
        const onProgress = (report: Parameters<typeof sentence>[0]): void => line.show(sentence(report, false));
        const report = await drain(opened, node, { signal: untilInterrupted(), onProgress }).finally(() => line.end());
        if (!report) throw unknown(node);
        process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : summary(report));
        if (report.left + report.spooled > 0) process.exitCode = 1;
      } finally {
        await opened.close();
      }
    });
}

async function undone({ platform }: Awaited<ReturnType<OpenForMoves>>, node: string): Promise<void> {
  if (!(await platform.nodes.setDraining(node, false))) throw unknown(node);
  process.stdout.write(`${node}: gets direct files again\n`);
}

const unknown = (node: string): Error => new Error(`no server called ${node} has ever registered`);

function summary({ node, moved, movedBytes, left, spooled, removed }: DrainReport): string {
  const lines = [`${node}: ${moved} files (${formatBytes(movedBytes)}) moved, ${left} left`];
  if (spooled > 0)
    lines.push(`${spooled} relayed uploads still wait in its spool: let workers finish them, or redrive or delete those that failed`);
  if (left > 0) lines.push('run it again when the servers that did not answer, or had no room, are back');
  if (left + spooled === 0) lines.push(removed ? 'it is forgotten' : 'it is empty; stop it now, and it is forgotten');
  return `${lines.join('\n')}\n`;
}
