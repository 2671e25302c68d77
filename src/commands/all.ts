import type { Command } from 'commander';
import { ConfigError, processEnvironment, readConfig, roleProblems } from '../config.ts';

const EXAMPLES = `
Examples:
  windlass all
  PORT=80 DATA_DIR=/srv/windlass PUBLIC_URL=https://files.example.com windlass all
  TOKENS_FILE=./tokens HOST=0.0.0.0 windlass all

Stops in order on SIGTERM and SIGINT: uploads in flight finish first.`;

/** Loads the server only when it is asked for: the other commands should start at once. */
export function addAll(program: Command): void {
  program
    .command('all')
    .description('run everything in this one process: API, console, embedded store and worker')
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const config = readConfig(processEnvironment());
      const problems = roleProblems(config, 'all');
      if (problems.length > 0) throw new ConfigError(problems);
      const { serve } = await import('./serve.ts');
      await serve(config);
    });
}
