import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { Connection } from '../client/connection.ts';
import { type Config, ConfigError, processEnvironment, type Role, readConfig, roleProblems } from '../config.ts';
import type { Parts } from '../wire.ts';
import { checkLinks } from './doctor-links.ts';
import { checkFolder, checkNode, checkSpace, checkTokens, foldersOf } from './doctor-machine.ts';
import { checkNodeUrl } from './doctor-node.ts';
import { checkParts } from './doctor-parts.ts';
import { ANSWER_MS, checkAddress, publicUrlOf } from './doctor-public.ts';
import { EXIT } from './exit-codes.ts';
import { broken, type Finding, ok, reasonOf, skipped } from './finding.ts';
import { printable } from './text.ts';

type Open = () => Promise<Parts>;

const EXAMPLES = `
Examples:
  windlass doctor
  windlass doctor --role api
  PUBLIC_URL=https://files.example.com windlass doctor
  kubectl exec deploy/windlass -- windlass doctor --json | jq 'select(.state == "broken")'

Run it with the settings of the server, and beside the running server: then links and CORS are proved as well.
With --role relay only what a worker needs is looked at: it has no disk of its own, and clients do not reach it.
Exit codes: 0 nothing is broken, 1 something is.`;

export function addDoctor(program: Command, open: Open): void {
  program
    .command('doctor')
    .description('prove everything that the server depends on, one line each, and say what to do')
    .option('--json', 'a line of JSON for each check')
    .addOption(new Option('--role <role>', 'the command that the settings are for').choices(['all', 'api', 'relay']).default('all'))
    .addHelpText('after', EXAMPLES)
    .action(async ({ json, role }: { json?: boolean; role: Role }) => {
      for await (const finding of examine(open, role)) {
        process.stdout.write(json ? `${JSON.stringify(finding)}\n` : lineOf(finding));
        if (finding.state === 'broken') process.exitCode = EXIT.failed;
      }
    });
}

async function* examine(open: Open, role: Role): AsyncGenerator<Finding> {
  yield checkNode(process.versions.node);
  const config = settingsFor(role);
  if (isFinding(config)) return yield config;
  yield ok('settings', `${Object.keys(config).length} are valid`);
  if (role !== 'relay') yield await checkTokens(config);
  for (const [name, path] of Object.entries(foldersFor(role, config))) {
    const folder = await checkFolder(name, path);
    yield folder;
    if (folder.state === 'ok') yield await checkSpace(name, path, config.MIN_FREE_BYTES);
  }
  yield* examinePlatform(await open(), role);
}

/** The settings, or what is wrong with them. */
function settingsFor(role: Role): Config | Finding {
  try {
    const config = readConfig(processEnvironment());
    const problems = roleProblems(config, role);
    if (problems.length > 0) throw new ConfigError(problems);
    return config;
  } catch (error) {
    return broken('settings', reasonOf(error), '`windlass config` prints all settings with their meaning.');
  }
}

const isFinding = (result: Config | Finding): result is Finding => 'subject' in result;

/** A worker reads what servers have taken, and writes to no disk. */
function foldersFor(role: Role, config: Config): Record<string, string> {
  if (role !== 'relay') return foldersOf(config);
  return config.SPOOL_SHARED ? { SPOOL_DIR: config.SPOOL_DIR } : {};
}

/** What the platform needs from elsewhere. One thing that is broken does not hide the others. */
async function* examinePlatform(parts: Parts, role: Role): AsyncGenerator<Finding> {
  const { config, clock } = parts;
  const connection = new Connection(ANSWER_MS);
  try {
    let storeWorks = false;
    for await (const finding of checkParts(parts, Boolean(await stat(config.DATA_DIR).catch(() => null)))) {
      yield finding;
      if (finding.subject === 'object store') storeWorks = finding.state === 'ok';
    }
    if (role === 'relay') return;
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
