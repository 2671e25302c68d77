import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A server under test, with what the kernel knows of its process and its children. */
export interface RunningServer {
  name: string;
  port: number;
  /** CPU time used so far, user and system, seconds. */
  cpuSeconds(): number;
  /** Largest resident set so far, of the largest process, bytes. */
  peakBytes(): number;
  stop(): Promise<void>;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const TICKS_A_SECOND = 100;

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

export type StartServer = (folder: string) => Promise<RunningServer>;

/** Starts `command` on a free port with a data folder of its own below `folder`, and waits until it accepts connections. */
async function start(
  name: string,
  folder: string,
  command: (port: number, data: string) => { argv: string[]; env: Record<string, string> },
): Promise<RunningServer> {
  const data = mkdtempSync(join(folder, `bench-${name}-`));
  const port = await freePort();
  const { argv, env } = command(port, data);
  const child = spawn(argv[0] ?? '', argv.slice(1), { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] });
  await accepting(port, child);
  const pids = (): number[] => [child.pid ?? 0, ...childrenOf(child.pid ?? 0)];
  return {
    name,
    port,
    cpuSeconds: () => pids().reduce((sum, pid) => sum + cpuOf(pid), 0),
    peakBytes: () => Math.max(...pids().map(peakOf)),
    async stop() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

async function accepting(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
    const up = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) }).then(
      () => true,
      () => false,
    );
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the server does not answer');
}

function childrenOf(pid: number): number[] {
  const text = readText(`/proc/${pid}/task/${pid}/children`);
  return text.split(' ').filter(Boolean).map(Number);
}

function cpuOf(pid: number): number {
  const fields = readText(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_A_SECOND;
}

const peakOf = (pid: number): number => Number(/VmHWM:\s+(\d+)/.exec(readText(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export const windlass: StartServer = (folder) => windlassWith({})(folder);

/** Windlass with further settings. */
export const windlassWith =
  (settings: Record<string, string>): StartServer =>
  (folder) =>
    start('windlass', folder, (port, data) => ({
      argv: [process.execPath, '--expose-gc', '--max-semi-space-size=8', here('../bin/windlass.js'), 'all'],
      env: {
        PORT: String(port),
        OPS_PORT: '0',
        DATA_DIR: data,
        LOG_LEVEL: 'warn',
        MIN_FREE_BYTES: '0',
        // It works for a moment every five minutes: in rows of a second it would decide which of them looks slow.
        RECONCILE_INTERVAL_SECONDS: '0',
        MALLOC_ARENA_MAX: '1',
        ...settings,
      },
    }));

export const koaMulter: StartServer = (folder) =>
  start('koa-multer', folder, (port, data) => ({
    argv: [process.execPath, here('./peers/koa-multer.ts')],
    env: { PORT: String(port), DATA_DIR: data },
  }));

export const tus: StartServer = (folder) =>
  start('tus', folder, (port, data) => ({ argv: [process.execPath, here('./peers/tus.ts')], env: { PORT: String(port), DATA_DIR: data } }));

/** nginx taking PUTs with its WebDAV module; from Debian: `nginx-light` and `libnginx-mod-http-dav-ext`, or any nginx built with the module. */
export const nginx: StartServer = (folder) =>
  start('nginx', folder, (port, data) => {
    const config = join(data, 'nginx.conf');
    writeFileSync(
      config,
      `${process.env.NGINX_DAV_MODULE ? `load_module ${process.env.NGINX_DAV_MODULE};` : ''}
${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; worker_processes 1; pid ${data}/pid; error_log ${data}/error.log;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path ${data}/tmp; client_max_body_size 0;
  proxy_temp_path ${data}/p; fastcgi_temp_path ${data}/f; uwsgi_temp_path ${data}/u; scgi_temp_path ${data}/s;
  server { listen 127.0.0.1:${port}; root ${data}; location / { dav_methods PUT; create_full_put_path on; } } }`,
    );
    return { argv: ['nginx', '-p', data, '-c', config], env: {} };
  });
