import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { SHARED_DRIVE } from './core/placement.ts';
import { CLIENT_SETTINGS, SETTINGS, type Setting } from './settings.ts';

type ValuesOf<Table> = { -readonly [K in keyof Table]: Table[K] extends Setting<infer T> ? T : never };
type Values = ValuesOf<typeof SETTINGS>;

/** All settings, validated, with the defaults that depend on others filled in. Frozen. */
export interface Config extends Readonly<Omit<Values, 'SPOOL_DIR' | 'DIRECT_DIR' | 'NODE_NAME' | 'S3_FORCE_PATH_STYLE'>> {
  readonly SPOOL_DIR: string;
  readonly DIRECT_DIR: string;
  readonly NODE_NAME: string;
  readonly S3_FORCE_PATH_STYLE: boolean;
}

/** What is wrong with the settings: one line per problem, each naming the variable. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`wrong settings:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The text of a setting: the variable itself, or the contents of the file that NAME_FILE names. An empty text is unset. */
function textOf(name: string, setting: Setting, environment: Environment): string | undefined {
  const file = setting.secret ? environment[`${name}_FILE`] : undefined;
  if (file && environment[name]) throw new Error(`${name} and ${name}_FILE are both set; keep one`);
  const text = file ? readFileSync(file, 'utf8').trimEnd() : environment[name];
  return text === '' ? undefined : text;
}

function valuesOf<Table extends Record<string, Setting>>(table: Table, environment: Environment): ValuesOf<Table> {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting>(table)) {
    try {
      const result = setting.schema.safeParse(textOf(name, setting, environment) ?? setting.fallback);
      if (result.success) values[name] = result.data;
      else problems.push(`${name}: ${result.error.issues[0]?.message ?? 'is not valid'}`);
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as ValuesOf<Table>;
}

/** Reads and validates the settings. Throws a ConfigError that names everything that is wrong, not only the first. */
export function readConfig(environment: Environment): Config {
  const config = withDerived(valuesOf(SETTINGS, environment));
  const problems = contradictions(config);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config);
}

export type ClientConfig = Readonly<ValuesOf<typeof CLIENT_SETTINGS>>;

/** The same for the settings of the commands that talk to a server from outside. */
export function readClientConfig(environment: Environment): ClientConfig {
  return Object.freeze(valuesOf(CLIENT_SETTINGS, environment));
}

function withDerived(values: Values): Config {
  const dataDir = resolve(values.DATA_DIR);
  return {
    ...values,
    DATA_DIR: dataDir,
    SPOOL_DIR: resolve(values.SPOOL_DIR ?? join(dataDir, 'spool')),
    DIRECT_DIR: resolve(values.DIRECT_DIR ?? join(dataDir, 'direct')),
    NODE_NAME: values.NODE_NAME ?? (values.MONGODB_URI ? hostname() : 'local'),
    S3_FORCE_PATH_STYLE: values.S3_FORCE_PATH_STYLE ?? values.S3_ENDPOINT !== undefined,
  };
}

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1|localhost)$/;

function contradictions(config: Config): string[] {
  const problems: string[] = [];
  if ((config.AWS_ACCESS_KEY_ID === undefined) !== (config.AWS_SECRET_ACCESS_KEY === undefined))
    problems.push('AWS_ACCESS_KEY_ID: goes together with AWS_SECRET_ACCESS_KEY; set both or none');
  problems.push(...placementProblems(config));
  if (config.SPOOL_DIR === config.DIRECT_DIR) problems.push('SPOOL_DIR: must be another folder than DIRECT_DIR');
  return problems;
}

/** The command that a process runs. */
export type Role = 'all' | 'api' | 'relay';

/** What is wrong with valid settings for one that runs this command. */
export function roleProblems(config: Config, role: Role): string[] {
  return [...(role === 'relay' ? [] : accessProblems(config)), ...(role === 'all' ? [] : separationProblems(config, role))];
}

/** Only whoever serves the API needs tokens: health and metrics, which every process answers at HOST, know none. */
function accessProblems({ HOST, TOKENS_FILE }: Config): string[] {
  if (TOKENS_FILE || LOOPBACK.test(HOST)) return [];
  return [`HOST: ${HOST} can be reached from other machines, so TOKENS_FILE must be set (make a token with \`windlass token\`)`];
}

function placementProblems({ DIRECT_PLACEMENT, DIRECT_MEMBERS, INTERNAL_SECRET, NODE_NAME }: Config): string[] {
  const problems: string[] = [];
  const placed = DIRECT_PLACEMENT === 'rendezvous';
  if (placed && !INTERNAL_SECRET) problems.push('INTERNAL_SECRET: must be set, so that servers can send each other direct files');
  if (!placed && DIRECT_MEMBERS) problems.push('DIRECT_MEMBERS: says something only with DIRECT_PLACEMENT=rendezvous');
  if ([NODE_NAME, ...(DIRECT_MEMBERS ?? []).map(({ name }) => name)].includes(SHARED_DRIVE))
    problems.push(`NODE_NAME: ${SHARED_DRIVE} is what records call the shared drive; choose another name`);
  return problems;
}

/** What is wrong with the settings of a server or worker that is one of several processes. */
function separationProblems(config: Config, role: 'api' | 'relay'): string[] {
  return [...unsharedProblems(config, role), ...diskProblems(config, role)];
}

/** Direct files alone need no object store, unless they are backed up. */
function unsharedProblems(config: Config, role: 'api' | 'relay'): string[] {
  const storing = config.DIRECT_BACKUP || config.STRATEGIES.some((strategy) => strategy !== 'direct');
  const shared = ['MONGODB_URI', 'RABBITMQ_URL', ...(storing ? (['S3_BUCKET'] as const) : [])] as const;
  return shared
    .filter((name) => config[name] === undefined)
    .map((name) => `${name}: must be set, because \`windlass ${role}\` shares it with other processes (\`windlass all\` needs none)`);
}

/** What others have to know to reach the files on the disk of one server, where they do not lie on a drive that all have. */
function diskProblems(config: Config, role: 'api' | 'relay'): string[] {
  const { STRATEGIES, SPOOL_SHARED, DIRECT_PLACEMENT, DIRECT_BACKUP, INTERNAL_SECRET, NODE_URL } = config;
  const placed = DIRECT_PLACEMENT === 'rendezvous';
  const spooled = STRATEGIES.includes('relay') && !SPOOL_SHARED;
  const kept = role === 'api' && STRATEGIES.includes('direct') && DIRECT_PLACEMENT === 'local' && !SPOOL_SHARED;
  const backed = DIRECT_BACKUP && DIRECT_PLACEMENT !== 'shared' && !SPOOL_SHARED;
  const problems: string[] = [];
  if (!INTERNAL_SECRET && spooled)
    problems.push('INTERNAL_SECRET: must be set, so that workers may read the spool of servers (or SPOOL_SHARED=true)');
  else if (!INTERNAL_SECRET && backed) problems.push('INTERNAL_SECRET: must be set, so that workers may read direct files to back them up');
  else if (!INTERNAL_SECRET && kept)
    problems.push("INTERNAL_SECRET: must be set, so that servers can read each other's direct files (or DIRECT_PLACEMENT=shared)");
  if (role === 'relay' || NODE_URL) return problems;
  if (placed) problems.push('NODE_URL: must be set, so that servers can send each other direct files');
  else if (spooled) problems.push('NODE_URL: must be set, so that workers can read the spool (or SPOOL_SHARED=true)');
  else if (kept) problems.push("NODE_URL: must be set, so that servers can read each other's direct files (or DIRECT_PLACEMENT=shared)");
  return problems;
}

/** The environment of this process with a `.env` file below it: the only place where process.env is read. */
export function processEnvironment(): Environment {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  return process.env;
}
