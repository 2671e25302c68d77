import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { storedFiles } from './data-folder.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START_TIMEOUT_MS = 90_000;
/** As in the image and in `npm start`. */
const NODE_OPTIONS = ['--expose-gc', '--max-semi-space-size=8'];
const NODE_ENVIRONMENT = { MALLOC_ARENA_MAX: '1' };

/** Small waits, so that tests are over soon. */
const DEFAULTS: Record<string, string> = {
  PORT: '0',
  OPS_PORT: '0',
  HOST: '127.0.0.1',
  MIN_FREE_BYTES: '0',
  LEASE_SECONDS: '2',
  RETRY_BASE_SECONDS: '0',
  RETRY_MAX_SECONDS: '1',
  OUTBOX_INTERVAL_SECONDS: '1',
  COMPLETE_WAIT_SECONDS: '20',
  SHUTDOWN_GRACE_SECONDS: '20',
};

export type Settings = Record<string, string | undefined>;

export interface ServerOptions {
  /** A folder that is kept when the server is disposed of; by default a fresh one that is removed. */
  dataDir?: string;
  /** Program to run, from the project's root, instead of `windlass all`. */
  program?: string[];
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** One line of the server's log. */
export type LogLine = Record<string, unknown> & { msg?: string };

/**
 * A server process with a data folder of its own. It sees only the settings given, none of this process's environment,
 * and runs where no .env file lies.
 */
export class RunningServer {
  readonly url: string;
  readonly opsUrl: string;
  readonly port: number;
  readonly opsPort: number;
  readonly pid: number;
  readonly dataDir: string;
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  readonly #settings: Settings;
  readonly #options: ServerOptions;
  readonly #output: string[];

  constructor(started: Started, ready: { port: number; opsPort: number }) {
    this.port = ready.port;
    this.opsPort = ready.opsPort;
    this.url = `http://localhost:${ready.port}`;
    this.opsUrl = `http://localhost:${ready.opsPort}`;
    this.dataDir = started.dataDir;
    this.exited = started.exited;
    this.pid = started.child.pid ?? 0;
    this.#process = started.child;
    this.#settings = started.settings;
    this.#options = started.options;
    this.#output = started.output;
  }

  /** Everything that the process has written to stdout and stderr so far. */
  get output(): string {
    return this.#output.join('\n');
  }

  log(): LogLine[] {
    return this.#output.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  }

  /** Every file of clients' bytes, unfinished ones included. */
  storedFiles(): Promise<string[]> {
    return storedFiles(this.dataDir);
  }

  /** Stops it as an orchestrator does, and throws unless it ends by itself with exit code 0. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    const { code, signal } = await this.exited;
    if (code !== 0) throw new Error(`the server ended with ${signal ?? code} after SIGTERM:\n${this.output}`);
  }

  /** SIGTERM, without waiting for the end. */
  beginStop(): void {
    this.#process.kill('SIGTERM');
  }

  /** `kill -9`: no chance to clean up. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited;
  }

  /** A new process on the same folder, with the same settings but for those given. The old one must have ended. */
  async restart(settings: Settings = {}, options: Pick<ServerOptions, 'program'> = {}): Promise<RunningServer> {
    await this.exited;
    return launch({ ...this.#settings, ...settings }, { ...this.#options, ...options, dataDir: this.dataDir }, this.#options.dataDir);
  }

  /** Runs a command of `windlass` on the same folder and settings. */
  async command(args: string[], settings: Settings = {}): Promise<{ code: number | null; stdout: string; stderr: string }> {
    return runCommand(args, { ...this.#settings, ...settings, DATA_DIR: this.dataDir });
  }

  /** Peak resident memory so far, in bytes (Linux: VmHWM). */
  async peakMemory(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  /** Ends the process, if it still runs, and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    if (this.#options.dataDir === undefined) await removeFolder(this.dataDir);
  }
}

interface Started {
  child: ChildProcess;
  exited: Promise<Exit>;
  dataDir: string;
  settings: Settings;
  options: ServerOptions;
  output: string[];
}

/** Starts a server and resolves once it is ready. Throws with its log when it does not come up. */
export async function startServer(settings: Settings = {}, options: ServerOptions = {}): Promise<RunningServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'windlass-test-')));
  return launch(settings, { ...options, dataDir }, options.dataDir);
}

/** PORT=0 asks the system for a free port, gives it back and takes it again: in between somebody else may have it. */
async function launch(settings: Settings, options: ServerOptions & { dataDir: string }, kept: string | undefined): Promise<RunningServer> {
  try {
    return await launchOnce(settings, options, kept);
  } catch (error) {
    if (!String(error).includes('EADDRINUSE')) throw error;
    return launchOnce(settings, options, kept);
  }
}

async function launchOnce(
  settings: Settings,
  options: ServerOptions & { dataDir: string },
  kept: string | undefined,
): Promise<RunningServer> {
  const { dataDir, program = ['bin/windlass.js', 'all'] } = options;
  const child = spawnNode(program, { ...DEFAULTS, ...settings, DATA_DIR: dataDir });
  const output: string[] = [];
  const exited = new Promise<Exit>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  const own: ServerOptions = kept === undefined ? {} : { dataDir: kept };
  if (options.program) own.program = options.program;
  const started: Started = { child, exited, dataDir, settings, options: own, output };
  try {
    return new RunningServer(started, await readiness(started));
  } catch (error) {
    child.kill('SIGKILL');
    if (kept === undefined) await removeFolder(dataDir);
    throw error;
  }
}

/** The log line that begins with `ready at`. */
function readiness({ child, exited, output }: Started): Promise<{ port: number; opsPort: number }> {
  return new Promise((resolve, reject) => {
    const failed = (why: string): void => reject(new Error(`the server did not start (${why}):\n${output.join('\n')}`));
    const timer = setTimeout(() => failed('timeout'), START_TIMEOUT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        output.push(line);
        if (!line.includes('"msg":"ready at')) return;
        clearTimeout(timer);
        resolve(JSON.parse(line));
      });
    }
    void exited.then(({ code, signal }) => {
      clearTimeout(timer);
      setImmediate(() => failed(`it ended with ${signal ?? code}`));
    });
  });
}

/** Runs `windlass ARGS` to its end. */
export async function runCommand(args: string[], settings: Settings): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawnNode(['bin/windlass.js', ...args], { ...DEFAULTS, ...settings });
  const chunks = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    chunks.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    chunks.stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...chunks };
}

function spawnNode([script = '', ...args]: string[], settings: Settings): ChildProcess {
  const env = Object.fromEntries(Object.entries(settings).filter((entry): entry is [string, string] => entry[1] !== undefined));
  return spawn(process.execPath, [...NODE_OPTIONS, join(ROOT, script), ...args], {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH ?? '', ...NODE_ENVIRONMENT, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 5 });
