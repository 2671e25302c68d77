import type { Command } from 'commander';
import { ConfigError, processEnvironment, readConfig, roleProblems } from '../config.ts';
import type { Roles } from './serve.ts';

const EXAMPLES = `
Examples:
  windlass api                     # on each server
  windlass relay                   # as many workers as the queue needs

Both need MONGODB_URI, RABBITMQ_URL and S3_BUCKET, and the same INTERNAL_SECRET; each server a NODE_URL by which
workers reach it, or all of them a shared SPOOL_DIR with SPOOL_SHARED=true. Check with: windlass doctor`;

/** Servers and workers as processes of their own. */
export function addApi(program: Command): void {
  program
    .command('api')
    .description('run a server: API and console, without a worker')
    .addHelpText('after', EXAMPLES)
    .action(() => serveAlone('api', { api: true, worker: false }));
}

export function addRelay(program: Command): void {
  program
    .command('relay')
    .description('run a worker: moves relayed uploads to the object store, finishes long completions')
    .addHelpText('after', EXAMPLES)
    .action(() => serveAlone('relay', { api: false, worker: true }));
}

async function serveAlone(role: 'api' | 'relay', roles: Roles): Promise<void> {
  const config = readConfig(processEnvironment());
  const problems = roleProblems(config, role);
  if (problems.length > 0) throw new ConfigError(problems);
  const { serve } = await import('./serve.ts');
  await serve(config, roles);
}
