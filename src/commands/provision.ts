import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import type { Provisioned, ProvisionStep } from '../ports/provision.ts';
import type { Parts } from '../wire.ts';
import { foldersOf } from './doctor-machine.ts';
import { EXIT } from './exit-codes.ts';
import { reasonOf } from './finding.ts';
import { databaseName, type PartName, queueName, storeName } from './part-names.ts';
import { printable } from './text.ts';

const EXAMPLES = `
Examples:
  windlass provision
  DATA_DIR=/srv/windlass windlass provision && DATA_DIR=/srv/windlass windlass doctor
  S3_BUCKET=uploads S3_ENDPOINT=http://minio:9000 windlass provision

Safe to repeat, and not needed for a trial: servers and workers make what is missing when they start.
What a server cannot do is told as NOT MADE, with what is done instead.
Exit codes: 0 everything is there, 1 something could not be made.`;

export function addProvision(program: Command, open: () => Promise<Parts>): void {
  program
    .command('provision')
    .description('make what is missing: folders, database and indexes, queues, bucket with CORS and lifecycle rules; safe to repeat')
    .addHelpText('after', EXAMPLES)
    .action(async () => provision(await open()));
}

/** A part that cannot be made does not keep the others from it. */
async function provision(parts: Parts): Promise<void> {
  const { config } = parts;
  try {
    for (const [subject, path] of Object.entries(foldersIn(config)))
      await making({ subject, path, make: () => mkdir(path, { recursive: true }).then(() => []) });
    const [database, queue] = [databaseName(config), queueName(config)];
    // Opening makes the database, and brings an older one up to date.
    const file = join(config.DATA_DIR, 'windlass.db');
    await making({ subject: 'database', part: database, path: database.embedded ? file : null, make: () => parts.records().then(stepsOf) });
    const queueFile = queue.embedded && !database.embedded ? file : null;
    await making({ subject: 'queue', part: queue, path: queueFile, make: () => parts.messages().then(stepsOf) });
    const key = config.LINK_SECRET || config.S3_BUCKET ? null : join(config.DATA_DIR, 'secrets', 'link.key');
    await making({ subject: 'link key', part: storeName(config), path: key, make: () => parts.objects().then(stepsOf) });
    if (config.LINK_SECRET && !config.S3_BUCKET) process.stdout.write('given      link key    LINK_SECRET\n');
  } finally {
    await parts.close();
  }
}

const foldersIn = (config: Config): Record<string, string> => ({
  ...foldersOf(config),
  ...(config.S3_BUCKET ? {} : { store: join(config.DATA_DIR, 'store') }),
});

async function stepsOf({ provisioned }: { provisioned: Provisioned[] }): Promise<ProvisionStep[]> {
  const steps: ProvisionStep[] = [];
  for (const one of provisioned) steps.push(...(await one.provision()));
  return steps;
}

interface Making {
  subject: string;
  /** File or folder that is made; null where there is none. */
  path: string | null;
  part?: PartName;
  make(): Promise<ProvisionStep[]>;
}

/** Tells what was made; or why not, and what to do about it. */
async function making({ subject, path, part, make }: Making): Promise<void> {
  const there = path !== null && (await stat(path).catch(() => null)) !== null;
  try {
    const steps = await make();
    if (path !== null) print({ subject, detail: path, outcome: there ? 'unchanged' : 'made' });
    for (const step of steps) print(step);
  } catch (error) {
    const reason = reasonOf(error);
    const [name, what, advice] = part
      ? [part.subject, `${part.product}: ${reason}`, part.advice(reason)]
      : [subject, reason, 'Check the folder above it.'];
    process.stderr.write(`FAILED     ${name.padEnd(10)}  ${printable(what)} -> ${advice}\n`);
    process.exitCode = EXIT.failed;
  }
}

const WORDS: Record<ProvisionStep['outcome'], string> = { made: 'made', unchanged: 'was there', unsupported: 'NOT MADE' };

const print = ({ subject, outcome, detail }: ProvisionStep): boolean =>
  process.stdout.write(`${`${WORDS[outcome].padEnd(9)}  ${subject.padEnd(10)}  ${printable(detail)}`.trimEnd()}\n`);
