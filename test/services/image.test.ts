import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import type { Settings } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { dockerIsThere } from './servers.ts';
import { withServers } from './with-servers.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Kept for the next run, whose build then takes seconds. */
const IMAGE = 'windlass:test';
const BASE = process.env.NODE_IMAGE ?? 'node:24-slim';
/** What the image may add to its base. */
const MOST_BYTES = 60e6;
const run = promisify(execFile);

async function docker(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { stdout, stderr } = await run('docker', args, { maxBuffer: 64 * 1024 ** 2 });
  return { stdout: stdout.trim(), stderr };
}

const inspected = async (kind: 'image' | 'container', name: string) => JSON.parse((await docker(kind, 'inspect', name)).stdout)[0];

/** As strict as a cluster may be: any user, nothing to be written but /tmp and what is mounted. */
const STRICT = ['--read-only', '--user', '12345:0', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
const environment = (settings: Settings): string[] => Object.entries(settings).flatMap(([name, value]) => ['--env', `${name}=${value}`]);

const there = await dockerIsThere();

withServers((servers) => {
  (there ? describe : describe.skip)('the image', () => {
    const id = v7().slice(-12);
    const volume = `windlass-image-${id}`;
    const containers: string[] = [];
    let stack: Stack;
    beforeAll(async () => {
      await docker('build', '--build-arg', `NODE_IMAGE=${BASE}`, '--build-arg', 'VERSION=1.2.3', '--tag', IMAGE, ROOT);
      await docker('volume', 'create', volume);
      stack = await startStack(servers, { apis: 0, workers: 0 });
    }, 600_000);
    afterAll(async () => {
      if (containers.length > 0) await docker('rm', '--force', ...containers);
      await docker('volume', 'rm', volume);
      await stack[Symbol.asyncDispose]();
    }, 60_000);

    /** On the network of this machine, where the servers of the tests listen. */
    const start = async (name: string, command: string, settings: Settings): Promise<string> => {
      const container = `windlass-image-${name}-${id}`;
      containers.push(container);
      const options = ['--name', container, '--network', 'host', '--volume', `${volume}:/data`, ...STRICT];
      await docker('run', '--detach', ...options, ...environment({ ...stack.settings, ...settings }), IMAGE, command);
      return container;
    };
    const ready = async (container: string): Promise<void> => {
      await eventually(async () => {
        const { State } = await inspected('container', container);
        const { stdout } = await docker('logs', container);
        if (!State.Running) throw new Error(`it ended with ${State.ExitCode}: ${stdout}`);
        expect(stdout).toContain('"msg":"ready at');
      }, 30_000);
    };
    const stopped = async (container: string): Promise<number> => {
      await docker('stop', '--time', '40', container);
      return (await inspected('container', container)).State.ExitCode;
    };

    test('is small, belongs to no root, and says what it is', async () => {
      const { Config, Size } = await inspected('image', IMAGE);
      expect(Config.Entrypoint).toEqual(['node', '--expose-gc', '--max-semi-space-size=8', '/app/bin/windlass.js']);
      expect(Config.Env).toContain('MALLOC_ARENA_MAX=1');
      expect(Config.User).toMatch(/^[1-9]\d*:0$/);
      expect(Config.Volumes ?? {}).toEqual({});
      expect(Config.Labels).toMatchObject({
        'org.opencontainers.image.title': 'windlass',
        'org.opencontainers.image.version': '1.2.3',
        'org.opencontainers.image.licenses': 'Apache-2.0',
      });
      expect(Size - (await inspected('image', BASE)).Size).toBeLessThan(MOST_BYTES);
    });

    test('has the sources and what they need, and nothing else', async () => {
      const { stdout } = await docker('run', '--rm', '--entrypoint', 'ls', IMAGE, '-A', '/app', '/app/docs', '/app/node_modules');
      const [app = '', docs = '', modules = ''] = stdout.split('\n\n');
      const inApp = ['.compile-cache', 'LICENSE', 'bin', 'docs', 'node_modules', 'package.json', 'src'];
      expect(app.split('\n').slice(1).sort()).toEqual(inApp);
      expect(docs.split('\n').slice(1)).toEqual(['runbooks']);
      expect(modules.split('\n')).toEqual(expect.arrayContaining(['koa', 'mongoose', 'amqplib', '@aws-sdk']));
      for (const left of ['node', 'typescript', 'jest', '@biomejs', 'testcontainers']) expect(modules.split('\n')).not.toContain(left);
    });

    test('starts from what was compiled when it was built, whoever runs it', async () => {
      const { stderr } = await docker('run', '--rm', ...STRICT, '--env', 'NODE_DEBUG_NATIVE=COMPILE_CACHE', IMAGE, '--version');
      const transpiled = stderr.split('\n').filter((line) => / transpile cache for /.test(line));
      expect(transpiled).toContain('[compile cache] retrieving transpile cache for StrippedTypeScript file:///app/src/main.ts...success');
      expect(transpiled.filter((line) => !line.endsWith('success'))).toEqual([]);
    });

    test('runs server and worker as any user on a read-only file system; uploads by all strategies; ends with 0', async () => {
      const [port, opsPort, workerOpsPort] = [await freePort(), await freePort(), await freePort()].map(String) as [string, string, string];
      const tokens = { TOKENS_FILE: '/data/tokens' };
      const token = ['run', '--rm', '--volume', `${volume}:/data`, ...STRICT, ...environment(tokens), IMAGE, 'token', '--tenant', 'acme'];
      const { stdout: secret } = await docker(...token);
      const server = {
        ...tokens,
        PORT: port,
        OPS_PORT: opsPort,
        NODE_NAME: 'api',
        NODE_URL: `http://localhost:${port}`,
        MIN_FREE_BYTES: '0',
      };
      const api = await start('api', 'api', server);
      const worker = await start('worker', 'relay', { OPS_PORT: workerOpsPort });
      await Promise.all([ready(api), ready(worker)]);

      const client = new ApiClient(`http://localhost:${port}`, { token: secret });
      const bytes = new Uint8Array(3_000_000).map((_, at) => (at * 31) % 251);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const direct = await client.raw('direct', bytes);
      const relay = await client.raw('relay', bytes);
      const presigned = await client.presigned(bytes);
      expect([direct.status, relay.status, presigned.state]).toEqual([201, 202, 'stored']);
      expect(await client.settled(relay.body.id)).toMatchObject({ state: 'stored', attempts: 1 });
      for (const each of [direct.body.id, relay.body.id, presigned.id])
        expect(await client.contentDigest(each)).toEqual({ status: 200, sha256, size: bytes.length });
      for (const ops of [opsPort, workerOpsPort]) expect((await fetch(`http://localhost:${ops}/readyz`)).status).toBe(200);

      const doctor = await docker('exec', api, 'node', '/app/bin/windlass.js', 'doctor', '--role', 'api');
      expect(doctor.stdout).toMatch(/^ok +NODE_URL: .* hands out what lies in the spool/m);
      await docker('exec', worker, 'node', '/app/bin/windlass.js', 'doctor', '--role', 'relay');
      expect(await Promise.all([stopped(api), stopped(worker)])).toEqual([0, 0]);
    }, 120_000);

    test('a process that is stopped while it starts does not wait to be killed', async () => {
      // A database that is looked for in vain: it starts for seconds.
      const nowhere = `mongodb://127.0.0.1:${await freePort()}/windlass`;
      const container = await start('early', 'relay', { OPS_PORT: '0', MONGODB_URI: nowhere });
      await eventually(() => docker('exec', container, 'ls', '/tmp/node-compile-cache'));
      expect(await stopped(container)).toBe(143);
    }, 60_000);
  });
});
