import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { Connection } from '../client/connection.ts';
import { type Config, processEnvironment, readConfig } from '../config.ts';
import type { Parts } from '../wire.ts';
import { checkLinks } from './doctor-links.ts';
import { checkFolder, checkNode, checkSpace, checkTokens, foldersOf } from './doctor-machine.ts';
import { checkNodeUrl } from './doctor-node.ts';
import { checkParts } from './doctor-parts.ts';
import { ANSWER_MS, checkAddress, publicUrlOf } from './doctor-public.ts';
import { EXIT } from './exit-codes.ts';
import { broken, type Finding, ok, skipped } from './finding.ts';
import { printable } from './text.ts';

type Open = () => Promise<Parts>;

const EXAMPLES = `
Examples:
  windlass doctor
  PUBLIC_URL=https://files.example.com windlass doctor
  kubectl exec deploy/windlass -- windlass doctor --json | jq 'select(.state == "broken")'

Run it with the settings of the server, and beside the running server: then links and CORS are proved as well.
Exit codes: 0 nothing is broken, 1 something is.`;

export function addDoctor(program: Command, open: Open): void {
  program
    .command('doctor')
    .description('prove everything that the server depends on, one line each, and say what to do')
    .option('--json', 'a line of JSON for each check')
    .addHelpText('after', EXAMPLES)
    .action(async ({ json }: { json?: boolean }) => {
      for await (const finding of examine(open)) {
        process.stdout.write(json ? `${JSON.stringify(finding)}\n` : lineOf(finding));
        if (finding.state === 'broken') process.exitCode = EXIT.failed;
      }
    });
}

async function* examine(open: Open): AsyncGenerator<Finding> {
  yield checkNode(process.versions.node);
  let config: Config;
  try {
    config = readConfig(processEnvironment());
  } catch (error) {
    yield broken(
      'settings',
      error instanceof Error ? error.message : String(error),
      '`windlass config` prints all settings with their meaning.',
    );
    return;
  }
  yield ok('settings', `${Object.keys(config).length} are valid`);
  yield await checkTokens(config);
  for (const [name, path] of Object.entries(foldersOf(config))) {
    const folder = await checkFolder(name, path);
    yield folder;
    if (folder.state === 'ok') yield await checkSpace(name, path, config.MIN_FREE_BYTES);
  }
  yield* examinePlatform(await open());
}

/** What the platform needs from elsewhere. One thing that is broken does not hide the others. */
async function* examinePlatform(parts: Parts): AsyncGenerator<Finding> {
  const { config, clock } = parts;
  const connection = new Connection(ANSWER_MS);
  try {
    let storeWorks = false;
    for await (const finding of checkParts(parts, Boolean(await stat(config.DATA_DIR).catch(() => null)))) {
      yield finding;
      if (finding.subject === 'object store') storeWorks = finding.state === 'ok';
    }
    const publicUrl = publicUrlOf(config);
    const address = await checkAddress(connection, publicUrl, clock());
    yield address;
    const answersLinks = config.S3_BUCKET !== undefined || address.subject === 'clock';
    if (!storeWorks) yield skipped('signed PUT, CORS preflight', 'not tried without an object store');
    else if (answersLinks) yield* checkLinks({ ...parts, ...(await parts.objects()).ports }, connection, publicUrl);
    if (config.INTERNAL_SECRET) yield await checkNodeUrl(parts, connection);
  } finally {
    connection.close();
    await parts.close();
  }
}

const WORDS: Record<Finding['state'], string> = { ok: 'ok', warning: 'WARNING', broken: 'BROKEN', skipped: '-' };

function lineOf({ subject, state, detail, advice }: Finding): string {
  const shown = detail.split('\n').map(printable).join('\n');
  return `${WORDS[state].padEnd(8)} ${subject}: ${shown}${advice ? ` -> ${advice}` : ''}\n`;
}
