import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { ApiClient } from '../client/api-client.ts';
import { type Content, describeContent, download } from '../client/download.ts';
import { LocalFailure } from '../client/failures.ts';
import { PartialFile, StreamSink } from '../client/sinks.ts';
import { addClientOptions, type ClientOptions, uploadId, withClient } from './client-options.ts';
import { EXIT_CODES_HELP } from './exit-codes.ts';
import { formatBytes, printable } from './text.ts';

interface GetOptions extends ClientOptions {
  output?: string;
}

const EXAMPLES = `
Examples:
  windlass get 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99 -o cat.jpg     # run it again after a cut: it continues
  windlass get 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99 -o .           # under the name that it was uploaded with
  windlass get 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99 | gunzip | psql shop

The SHA-256 of what arrived is compared with what the server recorded; the file gets its name only if they agree.
${EXIT_CODES_HELP}`;

export function addGet(program: Command): void {
  const command = program
    .command('get')
    .description('download an upload')
    .argument('<id>', 'id of the upload', uploadId)
    .option('-o, --output <file>', 'file to write, or a folder to write it into (default: stdout)')
    .addHelpText('after', EXAMPLES);
  addClientOptions(command).action((id: string, options: GetOptions) => {
    if (options.output === undefined && process.stdout.isTTY)
      command.error('error: stdout is a terminal: name a file with -o, or pipe the output');
    return withClient(options, (client) => get(client, id, options.output));
  });
}

async function get(client: ApiClient, id: string, output: string | undefined): Promise<void> {
  const content = await describeContent(client, id);
  const target = output === undefined ? null : await targetOf(output, content);
  if (target === null || !(await mayReplace(target))) return getStream(client, content, target);
  const whole = await getFile(client, content, target);
  // What an earlier run left was not the beginning of this file after all.
  if (!whole) await getFile(client, content, target);
  process.stdout.write(`${printable(target)}  ${formatBytes(content.upload.size)}\n`);
}

/** False when bytes of an earlier run, now removed, spoilt it. */
async function getFile(client: ApiClient, content: Content, target: string): Promise<boolean> {
  const file = await PartialFile.open(target, content.upload);
  const continued = file.offset > 0;
  try {
    if (await download(client, content, file)) {
      await file.commit();
      return true;
    }
    await file.discard();
  } finally {
    await file.close();
  }
  if (continued) return false;
  throw damaged();
}

async function getStream(client: ApiClient, content: Content, target: string | null): Promise<void> {
  const sink = StreamSink.open(target, process.stdout);
  try {
    if (!(await download(client, content, sink))) throw damaged();
  } finally {
    await sink.close();
  }
}

/** In a folder: the name that the file was uploaded with. That name is somebody else's choice, so it replaces nothing and hides nothing. */
async function targetOf(output: string, { upload }: Content): Promise<string> {
  const found = await stat(output).catch(() => null);
  if (!found?.isDirectory()) return output;
  const name = upload.filename.replaceAll(/[/\\\p{Cc}]/gu, '_').replace(/^\.+/, '_');
  const target = join(output, name || upload.id);
  if (await stat(target).catch(() => null))
    throw new LocalFailure('EEXIST', `${target} is there already`, 'Name the file to replace it: -o FILE');
  return target;
}

/** A device or pipe is written to; replacing it by a file would break it. */
async function mayReplace(target: string): Promise<boolean> {
  const found = await stat(target).catch(() => null);
  return found === null || found.isFile();
}

const damaged = (): LocalFailure =>
  new LocalFailure('digest_mismatch', 'what arrived has another SHA-256 than the server recorded', 'Do not use it. Run the command again.');
