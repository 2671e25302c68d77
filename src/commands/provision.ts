import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Config, processEnvironment, readConfig } from '../config.ts';
import type { ProvisionStep } from '../ports/provision.ts';
import { foldersOf } from './doctor-machine.ts';
import type { OpenPlatform } from './open.ts';
import { printable } from './text.ts';

type Open = () => Promise<Pick<OpenPlatform, 'provision' | 'close'>>;

const EXAMPLES = `
Examples:
  windlass provision
  DATA_DIR=/srv/windlass windlass provision && DATA_DIR=/srv/windlass windlass doctor
  S3_BUCKET=uploads S3_ENDPOINT=http://minio:9000 windlass provision

Safe to repeat, and not needed for a trial: servers and workers make what is missing when they start.`;

export function addProvision(program: Command, open: Open): void {
  program
    .command('provision')
    .description('make what is missing: folders, database and indexes, queues, bucket with CORS and lifecycle rules; safe to repeat')
    .addHelpText('after', EXAMPLES)
    .action(() => provision(readConfig(processEnvironment()), open));
}

async function provision(config: Config, open: Open): Promise<void> {
  const folders = { ...foldersOf(config), ...(config.S3_BUCKET ? {} : { store: join(config.DATA_DIR, 'store') }) };
  const things = { ...folders, ...filesOf(config) };
  const missing = new Set<string>();
  for (const path of Object.values(things)) if (!(await stat(path).catch(() => null))) missing.add(path);
  for (const path of Object.values(folders)) await mkdir(path, { recursive: true });
  // Opening makes database and key, and brings an older database up to date.
  const { provision: provisionParts, close } = await open();
  try {
    for (const [subject, detail] of Object.entries(things)) print({ subject, detail, outcome: missing.has(detail) ? 'made' : 'unchanged' });
    for (const step of await provisionParts()) print(step);
  } finally {
    await close();
  }
  if (config.LINK_SECRET) process.stdout.write('given      link key    LINK_SECRET\n');
}

/** Files that the embedded parts make when they are opened. */
function filesOf({ DATA_DIR, LINK_SECRET, S3_BUCKET, MONGODB_URI, RABBITMQ_URL }: Config): Record<string, string> {
  return {
    ...(MONGODB_URI && RABBITMQ_URL ? {} : { database: join(DATA_DIR, 'windlass.db') }),
    ...(LINK_SECRET || S3_BUCKET ? {} : { 'link key': join(DATA_DIR, 'secrets', 'link.key') }),
  };
}

const WORDS: Record<ProvisionStep['outcome'], string> = { made: 'made', unchanged: 'was there', unsupported: 'NOT MADE' };

const print = ({ subject, outcome, detail }: ProvisionStep): boolean =>
  process.stdout.write(`${WORDS[outcome].padEnd(9)}  ${subject.padEnd(10)}  ${printable(detail)}\n`);
