import type { Command } from 'commander';
import { isUnreachable } from '../client/failures.ts';
import { addClientOptions, type ClientOptions, uploadId, withClient } from './client-options.ts';
import { EXIT, EXIT_CODES_HELP, reportOf } from './exit-codes.ts';

const EXAMPLES = `
Examples:
  windlass rm 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99
  windlass list --resource post/42 --json | jq -r .id | xargs windlass rm

${EXIT_CODES_HELP}`;

export function addRemove(program: Command): void {
  const command = program
    .command('rm')
    .description('delete uploads: their bytes, and whatever is under way')
    .argument('<id...>', 'ids of the uploads', (text: string, before: string[] = []) => [...before, uploadId(text)])
    .addHelpText('after', EXAMPLES);
  addClientOptions(command).action((ids: string[], options: ClientOptions) =>
    withClient(options, async (client) => {
      for (const id of ids)
        try {
          await client.remove(id);
          process.stdout.write(`deleted  ${id}\n`);
        } catch (error) {
          if (isUnreachable(error)) throw error;
          process.stderr.write(reportOf(id, error));
          process.exitCode = EXIT.failed;
        }
    }),
  );
}
