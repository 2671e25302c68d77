import { type Command, Option } from 'commander';
import type { UploadAnswer } from '../client/answers.ts';
import { STATES, STRATEGIES } from '../core/upload.ts';
import { addClientOptions, type ClientOptions, resource, wholeNumber, withClient } from './client-options.ts';
import { EXIT_CODES_HELP } from './exit-codes.ts';
import { formatBytes, formatTable, printable } from './text.ts';

interface ListOptions extends ClientOptions {
  state?: string;
  strategy?: string;
  resource?: { type: string; id: string };
  limit: number;
  json?: boolean;
}

const MAX = 1_000_000;
const HEADER = ['ID', 'STATE', 'STRATEGY', 'SIZE', 'CREATED', 'RESOURCE', 'FILE'];

const EXAMPLES = `
Examples:
  windlass list
  windlass list --resource post/42
  windlass list --state failed --json | jq -r .id | xargs windlass redrive
  windlass list --limit 100000 --json | jq -s 'map(.size) | add'

${EXIT_CODES_HELP}`;

export function addList(program: Command): void {
  const command = program
    .command('list')
    .alias('ls')
    .description('list uploads, newest first')
    .addOption(new Option('--state <state>', 'only those in this state (default: all but deleted)').choices(STATES))
    .addOption(new Option('--strategy <strategy>', 'only those of this strategy').choices(STRATEGIES))
    .option('--resource <type/id>', 'only those that belong to this, such as post/42', resource)
    .option('--limit <n>', 'at most so many', wholeNumber(1, MAX), 50)
    .option('--json', 'a line of JSON for each upload')
    .addHelpText('after', EXAMPLES);
  addClientOptions(command).action((options: ListOptions) =>
    withClient(options, async (client) => {
      const { state, strategy, resource: owner, limit, json } = options;
      const found = client.list({ state, strategy, resourceType: owner?.type, resourceId: owner?.id }, limit);
      if (json) for await (const upload of found) process.stdout.write(`${JSON.stringify(upload)}\n`);
      else await writeTable(found);
    }),
  );
}

async function writeTable(found: AsyncIterable<UploadAnswer>): Promise<void> {
  const rows: string[][] = [];
  for await (const upload of found) rows.push(rowOf(upload));
  process.stdout.write(rows.length === 0 ? 'no uploads\n' : formatTable([HEADER, ...rows]));
}

const rowOf = ({ id, state, strategy, size, createdAt, resource: owner, filename }: UploadAnswer): string[] => [
  id,
  state,
  strategy,
  formatBytes(size),
  createdAt.slice(0, 19).replace('T', ' '),
  owner ? `${owner.type}/${owner.id}` : '-',
  printable(filename),
];
