#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { addAll } from './commands/all.ts';
import { addApi, addRelay } from './commands/api.ts';
import { addAudit } from './commands/audit.ts';
import { addBackup } from './commands/backup.ts';
import { addConfig } from './commands/config.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDrain } from './commands/drain.ts';
import { EXIT_CODES_HELP, exitCodeOf, reportOf } from './commands/exit-codes.ts';
import { addGet } from './commands/get.ts';
import { addList } from './commands/list.ts';
import type { OpenPlatform } from './commands/open.ts';
import { addProvision } from './commands/provision.ts';
import { addRebalance } from './commands/rebalance.ts';
import { addReconcile } from './commands/reconcile.ts';
import { addRedrive } from './commands/redrive.ts';
import { addRemove } from './commands/rm.ts';
import { addStatus } from './commands/status.ts';
import { addTokenCommand } from './commands/token.ts';
import { addUpload } from './commands/upload.ts';
import { VERSION } from './version.ts';
import type { Parts } from './wire.ts';

const EXAMPLES = `
Try it:
  windlass all                                     # the server, with everything it needs, in ./data
  windlass upload cat.jpg                          # from another terminal
  windlass list
  windlass get 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99 -o copy.jpg

Open it to others:
  TOKENS_FILE=./tokens windlass token --tenant acme > acme.token
  TOKENS_FILE=./tokens HOST=0.0.0.0 windlass all
  windlass upload --url http://files.example.com:8080 --token-file acme.token cat.jpg

More about a command, with examples: windlass help upload
Settings come from the environment and from .env: windlass config
${EXIT_CODES_HELP}`;

/** Loaded only when a command needs it: the others should start at once. */
const openPlatform = async (): Promise<OpenPlatform> => (await import('./commands/open.ts')).openCommandPlatform();
const openParts = async (): Promise<Parts> => (await import('./commands/open.ts')).commandParts();

const program = new Command('windlass')
  .description('Takes files: direct, relayed, or straight to the object store by signed links.')
  .version(VERSION)
  .exitOverride()
  .showHelpAfterError('(examples: add --help)')
  .addHelpText('after', EXAMPLES);

program.commandsGroup('Server:');
addAll(program);
addApi(program);
addRelay(program);
addTokenCommand(program);
addConfig(program);

program.commandsGroup('Files:');
for (const add of [addUpload, addStatus, addList, addGet, addRemove]) add(program);

program.commandsGroup('Operation, beside the server and with its settings:');
for (const add of [addProvision, addDoctor]) add(program, openParts);
for (const add of [addAudit, addReconcile, addRedrive]) add(program, openPlatform);
for (const add of [addRebalance, addDrain, addBackup]) add(program, openPlatform);

// `windlass list | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
  // Commander has told its own errors by now.
  if (!(error instanceof CommanderError)) {
    process.stderr.write(reportOf('windlass', error));
    // A server that cannot start would be kept alive, half started, by what it has begun.
    process.exit();
  }
}
