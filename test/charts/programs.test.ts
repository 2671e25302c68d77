/** The programs that the chart puts into pods, run here: they need Node, no cluster. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { storedFiles } from '../support/data-folder.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { sha256Of } from '../support/random-file.ts';
import { type RunningServer, startServer } from '../support/server.ts';
import { CHART } from './helm.ts';

/** As in the pod: `node --input-type=module --eval TEXT ARGS`. */
function start(name: string, args: string[], env: Record<string, string> = {}) {
  const text = readFileSync(join(CHART, 'files', name), 'utf8');
  const child = spawn(process.execPath, ['--input-type=module', '--eval', text, ...args], { env });
  const program = { output: '', ended: once(child, 'close').then(([code]) => code as number), stop: () => child.kill() };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      program.output += chunk;
    });
  return program;
}

describe('the test of the chart', () => {
  const token = 'wl_a-token-for-the-test-of-the-chart';
  let folder: string;
  let server: RunningServer;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'windlass-chart-'));
    const line = { sha256: sha256Of(token), tenant: 'trial', scopes: ['uploads:read', 'uploads:write'] };
    writeFileSync(join(folder, 'tokens'), JSON.stringify(line));
    server = await startServer({ TOKENS_FILE: join(folder, 'tokens') });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
  const run = (env: Record<string, string> = {}) =>
    start('test-uploads.mjs', [], { WINDLASS_URL: server.url, WINDLASS_TOKEN: `${token}\n`, STRATEGIES: 'direct,relay,presign', ...env });

  test('uploads by all three strategies, compares, and leaves nothing behind', async () => {
    const program = run();
    expect([await program.ended, program.output]).toEqual([0, expect.stringMatching(/^ok +direct: .*\nok +relay: .*\nok +presign: .*\n$/)]);
    await eventually(async () => expect(await storedFiles(server.dataDir)).toEqual([]));
  });

  test('reaches the store elsewhere than links say, where they lead nowhere from inside', async () => {
    await using hidden = await startServer({ TOKENS_FILE: join(folder, 'tokens'), PUBLIC_URL: 'http://store.invalid' });
    const env = { WINDLASS_URL: hidden.url, STRATEGIES: 'direct,relay,presign' };
    const lost = run(env);
    expect([await lost.ended, lost.output]).toEqual([1, expect.stringMatching(/FAILED +presign: .*store\.invalid/)]);
    const found = run({ ...env, STORE_ADDRESS: `127.0.0.1:${hidden.port}` });
    expect([await found.ended, found.output]).toEqual([0, expect.stringContaining('ok      presign')]);
  });

  test('wants refused what is not offered, and nothing else', async () => {
    const wrong = run({ STRATEGIES: 'presign' });
    expect([await wrong.ended, wrong.output]).toEqual([1, expect.stringMatching(/FAILED +direct: .*was answered 201, not 404/)]);
    await using presigning = await startServer({ TOKENS_FILE: join(folder, 'tokens'), STRATEGIES: 'presign' });
    const right = run({ WINDLASS_URL: presigning.url, STRATEGIES: 'presign' });
    expect([await right.ended, right.output]).toEqual([
      0,
      expect.stringMatching(/^ok +direct: refused.*\nok +relay: refused.*\nok +presign: 3000000 bytes.*\n$/),
    ]);
    const missing = run({ WINDLASS_URL: presigning.url });
    expect([await missing.ended, missing.output]).toEqual([1, expect.stringMatching(/FAILED +relay: .*was answered 404, not 202/)]);
  });

  test('fails when it is not let in', async () => {
    const program = run({ WINDLASS_TOKEN: 'wl_some-other-token' });
    expect([await program.ended, program.output]).toEqual([1, expect.stringContaining('401')]);
  });
});

describe('the wait for servers', () => {
  test('ends when all of them take connections, and not before', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const program = start('wait-for.mjs', [`127.0.0.1:${first}`, `127.0.0.1:${second}`]);
    const servers = [];
    for (const port of [first, second]) {
      await eventually(() => expect(program.output).toContain(`waiting for 127.0.0.1:${port}`));
      servers.push(createServer().listen(port, '127.0.0.1'));
    }
    expect(await program.ended).toBe(0);
    for (const server of servers) server.close();
  });

  test('can be stopped', async () => {
    const program = start('wait-for.mjs', [`127.0.0.1:${await freePort()}`]);
    await eventually(() => expect(program.output).toContain('waiting'));
    program.stop();
    expect(await program.ended).toBe(1);
  });
});
