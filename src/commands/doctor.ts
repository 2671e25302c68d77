import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { type Config, processEnvironment, readConfig } from '../config.ts';
import { checkFolder, checkNode, checkSpace, checkTokens, foldersOf } from './doctor-machine.ts';
import { checkParts } from './doctor-parts.ts';
import { checkPublic } from './doctor-public.ts';
import { EXIT } from './exit-codes.ts';
import { broken, type Finding, ok, skipped } from './finding.ts';
import type { OpenPlatform } from './open.ts';
import { printable } from './text.ts';

type Open = () => Promise<Pick<OpenPlatform, 'platform' | 'close'>>;

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
  yield* examineParts(config, open);
}

/** Opening the platform makes what is missing; a doctor must not. */
async function* examineParts(config: Config, open: Open): AsyncGenerator<Finding> {
  if (!(await stat(config.DATA_DIR).catch(() => null))) {
    yield skipped('database, queue, object store', 'not there before DATA_DIR is', 'Make them: windlass provision');
    return;
  }
  let opened: Awaited<ReturnType<Open>>;
  try {
    opened = await open();
  } catch (error) {
    yield broken(
      'database',
      error instanceof Error ? error.message : String(error),
      'Check that DATA_DIR can be written to and is not damaged.',
    );
    return;
  }
  try {
    yield* await checkParts(opened.platform);
    if (config.PORT === 0 && !config.PUBLIC_URL) yield skipped('public address', 'PORT is 0 and PUBLIC_URL is not set, so it is not known');
    else yield* await checkPublic(opened.platform, config.PUBLIC_URL ?? `http://localhost:${config.PORT}`);
  } finally {
    await opened.close();
  }
}

const WORDS: Record<Finding['state'], string> = { ok: 'ok', warning: 'WARNING', broken: 'BROKEN', skipped: '-' };

function lineOf({ subject, state, detail, advice }: Finding): string {
  const shown = detail.split('\n').map(printable).join('\n');
  return `${WORDS[state].padEnd(8)} ${subject}: ${shown}${advice ? ` -> ${advice}` : ''}\n`;
}
