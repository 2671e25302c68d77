import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Order } from '../client/order.ts';
import { UnfinishedUploads } from '../client/unfinished-uploads.ts';
import { STRATEGIES, type Strategy } from '../core/upload.ts';
import { addClientOptions, apiClient, type ClientOptions, clientConfig, resource, wholeNumber } from './client-options.ts';
import { EXIT_CODES_HELP } from './exit-codes.ts';
import { UploadRun } from './upload-run.ts';

export interface UploadOptions extends ClientOptions {
  strategy: Strategy;
  resource?: NonNullable<Order['resource']>;
  metadata?: Record<string, string>;
  type?: string;
  name?: string;
  parallel: number;
  json?: boolean;
  wait: boolean;
}

const EXAMPLES = `
Examples:
  windlass upload cat.jpg
  windlass upload --strategy relay --resource post/42 --metadata author=ann *.jpg
  windlass upload --strategy presign disk.img      # run it again after a cut: it continues
  pg_dump shop | windlass upload --name shop.sql --type application/sql -
  windlass upload --json cat.jpg | jq -r .upload.url
  WINDLASS_URL=https://files.example.com windlass upload --token-file ~/.windlass-token cat.jpg

Strategies:
  direct    through the server to its disk; done when the answer comes
  relay     through the server, which moves it to the object store in the background
  presign   straight to the object store by signed links, large files in parts; can be continued

With --json each file gives one line of JSON: {"file", "ok", "upload"} or {"file", "ok", "error"}.
${EXIT_CODES_HELP}`;

export function addUpload(program: Command): void {
  const command = program
    .command('upload')
    .description('upload files')
    .argument('<file...>', 'files to upload; - is stdin')
    .addOption(new Option('--strategy <strategy>', 'the way that the bytes take').choices(STRATEGIES).default('direct'))
    .option('--resource <type/id>', 'what the files belong to, such as post/42', resource)
    .option('--metadata <key=value>', 'text that is kept with each file; can be given several times', pair)
    .option('--type <type>', 'media type (default: by the name of the file)', mediaType)
    .option('--name <name>', 'name to record instead of the name of the file')
    .option('--parallel <n>', 'transfers at the same time, files and parts together', wholeNumber(1, 64), 4)
    .option('--wait', 'wait until the files are stored', true)
    .option('--no-wait', 'end as soon as the server has taken the files')
    .option('--json', 'write nothing but JSON, a line for each file')
    .addHelpText('after', EXAMPLES);
  addClientOptions(command).action(async (files: string[], options: UploadOptions) => {
    const wrong = contradiction(files, options);
    if (wrong) command.error(`error: ${wrong}`);
    process.exitCode = await runUpload(files, options, process.stdin);
  });
}

function contradiction(files: string[], { name, strategy }: UploadOptions): string | null {
  if (name !== undefined && files.length > 1) return 'option --name takes one file';
  if (files.filter((file) => file === '-').length > 1) return 'stdin (-) can be uploaded once only';
  if (files.includes('-') && strategy === 'presign')
    return 'stdin (-) has no known size, which presign needs: use --strategy direct or relay';
  return null;
}

async function runUpload(files: string[], options: UploadOptions, stdin: Readable): Promise<number> {
  const config = clientConfig(options);
  const unfinished = new UnfinishedUploads(config.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'));
  const run = new UploadRun(options, unfinished, stdin);
  const client = apiClient(config, (error, pauseMs) => run.tellRetry(error, pauseMs));
  try {
    await unfinished.sweep(Date.now());
    return await run.start(client, files);
  } finally {
    client.close();
  }
}

function pair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new InvalidArgumentError('It takes KEY=VALUE, such as author=ann.');
  return { ...before, [key]: value };
}

function mediaType(text: string): string {
  if (!/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/.test(text))
    throw new InvalidArgumentError('It takes a media type, such as image/jpeg.');
  return text;
}
