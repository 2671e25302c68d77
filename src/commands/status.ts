import type { Command } from 'commander';
import type { UploadAnswer } from '../client/answers.ts';
import { addClientOptions, type ClientOptions, uploadId, withClient } from './client-options.ts';
import { EXIT, EXIT_CODES_HELP } from './exit-codes.ts';
import { formatBytes, printable } from './text.ts';

interface StatusOptions extends ClientOptions {
  wait?: boolean;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  windlass status 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99
  windlass status --wait --json 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99 | jq -r .state

With --wait, 0 means stored and 1 that the upload came to rest in another state.
${EXIT_CODES_HELP}`;

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .description('show an upload, or wait until it is done')
    .argument('<id>', 'id of the upload', uploadId)
    .option('--wait', 'wait until its state is final')
    .option('--json', 'as one line of JSON')
    .addHelpText('after', EXAMPLES);
  addClientOptions(command).action((id: string, options: StatusOptions) =>
    withClient(options, async (client) => {
      const upload = await (options.wait ? client.settled(id) : client.upload(id));
      process.stdout.write(options.json ? `${JSON.stringify(upload)}\n` : described(upload));
      if (options.wait && upload.state !== 'stored') process.exitCode = EXIT.failed;
    }),
  );
}

function described(upload: UploadAnswer): string {
  const { resource, error, metadata, size } = upload;
  const rows: [string, string | null][] = [
    ['id', upload.id],
    ['state', upload.state],
    ['error', error && `${error.code}: ${error.detail}`],
    ['strategy', upload.strategy],
    ['file', upload.filename],
    ['type', upload.contentType],
    ['size', size < 1024 ? `${size} bytes` : `${size} bytes (${formatBytes(size)})`],
    ['sha256', upload.sha256],
    ['resource', resource && `${resource.type}/${resource.id}`],
    ...Object.entries(metadata).map(([key, value]): [string, string] => [`metadata ${key}`, value]),
    ['created', upload.createdAt],
    ['stored', upload.storedAt],
    ['expires', upload.expiresAt],
    ['url', upload.url],
  ];
  const shown = rows.filter((row): row is [string, string] => row[1] !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${printable(name).padEnd(width)}  ${printable(value)}\n`).join('');
}
