import type { Command } from 'commander';
import { ConfigError } from '../config.ts';
import type { PassReport } from '../rebalance/pass.ts';
import { CountingLine } from './counting-line.ts';
import type { OpenPlatform } from './open.ts';
import { formatBytes } from './text.ts';

export type OpenForMoves = () => Promise<Pick<OpenPlatform, 'platform' | 'rebalancer' | 'members' | 'close'>>;

const EXAMPLES = `
Examples:
  windlass rebalance --dry-run     # how many files would move
  windlass rebalance               # all servers' files; can be broken off and begun again
  windlass rebalance --node api-4  # only what lies on api-4`;

/** Ends with exit code 1 when files had to stay where they do not belong. */
export function addRebalance(program: Command, open: OpenForMoves): void {
  program
    .command('rebalance')
    .description('move direct files to the servers that they belong on, since servers came, left or were away')
    .option('--node <name...>', 'only files on these servers')
    .option('--dry-run', 'move nothing, only count')
    .option('--json', 'as one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async ({ node, dryRun = false, json = false }: { node?: string[]; dryRun?: boolean; json?: boolean }) => {
      const opened = await open();
      try {
        requireSpread(opened);
        const reports = await rebalanceAll(opened, node ?? (await everyNode(opened)), dryRun);
        process.stdout.write(json ? `${JSON.stringify({ dryRun, nodes: reports }, null, 2)}\n` : summary(reports, dryRun));
        if (reports.some(({ postponed, failed }) => postponed + failed > 0)) process.exitCode = 1;
      } finally {
        await opened.close();
      }
    });
}

type Opened = Awaited<ReturnType<OpenForMoves>>;

export function requireSpread({ platform }: Pick<Opened, 'platform'>): void {
  if (platform.config.DIRECT_PLACEMENT !== 'rendezvous')
    throw new ConfigError(['DIRECT_PLACEMENT: must be rendezvous, as it is for the servers: otherwise no file belongs on another server']);
}

async function everyNode({ platform, members }: Opened): Promise<string[]> {
  const known = (await platform.nodes.list()).map(({ name }) => name);
  const placed = (await members.read()).members.map(({ name }) => name);
  return [...new Set([...known, ...placed])].sort();
}

async function rebalanceAll({ rebalancer }: Opened, nodes: readonly string[], dryRun: boolean): Promise<PassReport[]> {
  const signal = untilInterrupted();
  const line = new CountingLine(process.stderr, () => performance.now());
  const onProgress = (report: Readonly<PassReport>): void => line.show(sentence(report, dryRun));
  const reports: PassReport[] = [];
  try {
    for (const node of nodes) reports.push(await rebalancer.run({ node, dryRun, signal, onProgress }));
    return reports;
  } finally {
    line.end();
  }
}

/** Aborted by the first SIGINT or SIGTERM: what is under way is taken back then. */
export function untilInterrupted(rest = 'what was not moved is where it was'): AbortSignal {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => interrupted.abort(new Error(`broken off by ${signal}; ${rest}`)));
  return interrupted.signal;
}

export function sentence(report: Readonly<PassReport>, dryRun: boolean): string {
  const { node, checked, misplaced, misplacedBytes, moved, movedBytes, postponed, failed, unreachable } = report;
  const found = `${node}: ${checked} files looked at, ${misplaced} (${formatBytes(misplacedBytes)}) belong elsewhere`;
  if (dryRun) return found;
  const stayed = `${postponed > 0 ? `, ${postponed} must wait` : ''}${failed > 0 ? `, ${failed} failed` : ''}`;
  return `${found}, ${moved} (${formatBytes(movedBytes)}) moved${stayed}${unreachable ? '; the server does not answer' : ''}`;
}

function summary(reports: readonly PassReport[], dryRun: boolean): string {
  const lines = reports.map((report) => sentence(report, dryRun));
  return `${[...lines, ...(dryRun ? ['dry run: nothing was moved'] : [])].join('\n')}\n`;
}
