import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../bin/windlass.js', import.meta.url));

export interface Result {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A `windlass` that runs; `result` resolves at its end. */
export interface RunningCommand {
  child: ChildProcess;
  result: Promise<Result>;
}

type Environment = Record<string, string>;

/** The command line as a person in a folder of their own has it: nothing of this process's environment, no .env file. */
export class CommandLine {
  /** Where commands run; relative file names belong here. */
  readonly folder: string;
  readonly #environment: Environment;

  private constructor(folder: string, environment: Environment) {
    this.folder = folder;
    this.#environment = environment;
  }

  static async open(environment: Environment = {}): Promise<CommandLine> {
    const folder = await mkdtemp(join(tmpdir(), 'windlass-cli-'));
    return new CommandLine(folder, { XDG_STATE_HOME: join(folder, '.state'), ...environment });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  start(args: readonly string[], environment: Environment = {}, stdin: Buffer | null = null): RunningCommand {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: this.folder,
      env: { PATH: process.env.PATH ?? '', ...this.#environment, ...environment },
      stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    child.stdin?.end(stdin);
    const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      child.once('close', (code, signal) => resolve([code, signal]));
    });
    const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => (stream ? text(stream) : Promise.resolve('')));
    const result = Promise.all([ended, stdout ?? '', stderr ?? '']).then(([[code, signal], out, err]) => ({
      code,
      signal,
      stdout: out,
      stderr: err,
    }));
    return { child, result };
  }

  run(args: readonly string[], environment: Environment = {}, stdin: Buffer | null = null): Promise<Result> {
    return this.start(args, environment, stdin).result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The lines of `--json`. */
// biome-ignore lint/suspicious/noExplicitAny: each test looks at the members that it is about
export const jsonLines = (stdout: string): any[] =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
