#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { EXIT_CODES_HELP, exitCodeOf, reportOf } from './commands/exit-codes.ts';
import type { OpenPlatform } from './commands/open.ts';
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

/** By name, below the headings of the help. For the same reason only the one that is asked for is loaded; for help, all. */
const COMMANDS: Record<string, Record<string, (program: Command) => Promise<void>>> = {
  'Server:': {
    all: async (program) => (await import('./commands/all.ts')).addAll(program),
    api: async (program) => (await import('./commands/api.ts')).addApi(program),
    relay: async (program) => (await import('./commands/api.ts')).addRelay(program),
    token: async (program) => (await import('./commands/token.ts')).addTokenCommand(program),
    config: async (program) => (await import('./commands/config.ts')).addConfig(program),
  },
  'Files:': {
    upload: async (program) => (await import('./commands/upload.ts')).addUpload(program),
    status: async (program) => (await import('./commands/status.ts')).addStatus(program),
    list: async (program) => (await import('./commands/list.ts')).addList(program),
    get: async (program) => (await import('./commands/get.ts')).addGet(program),
    rm: async (program) => (await import('./commands/rm.ts')).addRemove(program),
  },
  'Operation, beside the server and with its settings:': {
    provision: async (program) => (await import('./commands/provision.ts')).addProvision(program, openParts),
    doctor: async (program) => (await import('./commands/doctor.ts')).addDoctor(program, openParts),
    audit: async (program) => (await import('./commands/audit.ts')).addAudit(program, openPlatform),
    reconcile: async (program) => (await import('./commands/reconcile.ts')).addReconcile(program, openPlatform),
    redrive: async (program) => (await import('./commands/redrive.ts')).addRedrive(program, openPlatform),
    rebalance: async (program) => (await import('./commands/rebalance.ts')).addRebalance(program, openPlatform),
    drain: async (program) => (await import('./commands/drain.ts')).addDrain(program, openPlatform),
    backup: async (program) => (await import('./commands/backup.ts')).addBackup(program, openPlatform),
  },
};

const program = new Command('windlass')
  .description('Takes files: direct, relayed, or straight to the object store by signed links.')
  .version(VERSION)
  .exitOverride()
  .showHelpAfterError('(examples: add --help)')
  .addHelpText('after', EXAMPLES);

const [asked = ''] = process.argv.slice(2);
const isCommand = Object.values(COMMANDS).some((commands) => Object.hasOwn(commands, asked));
for (const [heading, commands] of Object.entries(COMMANDS)) {
  program.commandsGroup(heading);
  for (const [name, add] of Object.entries(commands)) if (!isCommand || name === asked) await add(program);
}

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
