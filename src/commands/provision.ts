import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Config, processEnvironment, readConfig } from '../config.ts';
import { foldersOf } from './doctor-machine.ts';
import type { OpenPlatform } from './open.ts';
import { printable } from './text.ts';

type Open = () => Promise<Pick<OpenPlatform, 'close'>>;

const EXAMPLES = `
Examples:
  windlass provision
  DATA_DIR=/srv/windlass windlass provision && DATA_DIR=/srv/windlass windlass doctor

Safe to repeat, and not needed for a trial: the server makes what is missing when it starts.`;

export function addProvision(program: Command, open: Open): void {
  program
    .command('provision')
    .description('make folders, database and key; safe to repeat')
    .addHelpText('after', EXAMPLES)
    .action(() => provision(readConfig(processEnvironment()), open));
}

async function provision(config: Config, open: Open): Promise<void> {
  const folders = { ...foldersOf(config), store: join(config.DATA_DIR, 'store') };
  const missing = new Set<string>();
  const files = { database: join(config.DATA_DIR, 'windlass.db'), ...keyFile(config) };
  for (const path of [...Object.values(folders), ...Object.values(files)]) if (!(await stat(path).catch(() => null))) missing.add(path);
  for (const path of Object.values(folders)) await mkdir(path, { recursive: true });
  // Opening makes database and key, and brings an older database up to date.
  const { close } = await open();
  await close();
  for (const [name, path] of Object.entries({ ...folders, ...files }))
    process.stdout.write(`${missing.has(path) ? 'made     ' : 'was there'}  ${name.padEnd(10)}  ${printable(path)}\n`);
  if (config.LINK_SECRET) process.stdout.write('given      link key    LINK_SECRET\n');
}

const keyFile = ({ LINK_SECRET, DATA_DIR }: Config): Record<string, string> =>
  LINK_SECRET ? {} : { 'link key': join(DATA_DIR, 'secrets', 'link.key') };
