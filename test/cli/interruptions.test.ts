import { readdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { CommandLine, jsonLines } from '../support/command-line.ts';
import { type Meddling, MeddlingProxy } from '../support/meddling-proxy.ts';
import { RandomFile } from '../support/random-file.ts';
import { type RunningServer, startServer } from '../support/server.ts';

const MIB = 1024 ** 2;
const PART = /^\/store\/.*[?&]part=/;
const file = new RandomFile(22 * MIB, 'interrupted');

let proxy: MeddlingProxy;
let server: RunningServer;
let cli: CommandLine;

beforeEach(async () => {
  proxy = await MeddlingProxy.open();
  server = await startServer({ PUBLIC_URL: proxy.url, SINGLE_PART_BYTES: '1MiB', PART_BYTES: '5MiB' });
  proxy.forwardTo(server.port);
  cli = await CommandLine.open({ WINDLASS_URL: proxy.url });
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const list = async (...args: string[]) => jsonLines((await cli.run(['list', '--json', ...args], { WINDLASS_URL: server.url })).stdout);

/** Meddles with the n-th request (from 1) that matches. */
function nth(n: number, method: string, path: RegExp, meddling: Meddling): void {
  let seen = 0;
  proxy.meddle = (one) => (one.method === method && path.test(one.path) && ++seen === n ? meddling : 'pass');
}

/** Uploads and is killed without warning when the third part is under way. */
async function killedInMidMultipart(): Promise<void> {
  await writeFile(cli.path('disk.img'), await file.bytes());
  nth(3, 'PUT', PART, 'hold');
  const { child, result } = cli.start(['upload', '--strategy', 'presign', '--parallel', '1', 'disk.img']);
  await proxy.held;
  child.kill('SIGKILL');
  expect((await result).signal).toBe('SIGKILL');
  proxy.meddle = () => 'pass';
  proxy.seen.length = 0;
}

test('a multipart upload that was killed is continued by the same command', async () => {
  await killedInMidMultipart();
  const [before] = await list();

  const { code, stdout } = await cli.run(['upload', '--json', '--strategy', 'presign', '--parallel', '1', 'disk.img']);

  expect(code).toBe(0);
  expect(jsonLines(stdout)[0].upload).toMatchObject({ id: before.id, state: 'stored', sha256: await file.sha256() });
  expect(proxy.count('PUT', PART)).toBe(3);
  expect(await list()).toHaveLength(1);
  expect(await readdir(cli.path('.state/windlass/uploads'))).toEqual([]);
});

test('a file that changed meanwhile is not continued but uploaded anew', async () => {
  await killedInMidMultipart();
  const changed = new RandomFile(22 * MIB, 'changed');
  await writeFile(cli.path('disk.img'), await changed.bytes());

  const { stdout } = await cli.run(['upload', '--json', '--strategy', 'presign', 'disk.img']);

  expect(jsonLines(stdout)[0].upload).toMatchObject({ state: 'stored', sha256: await changed.sha256() });
  expect(proxy.count('PUT', PART)).toBe(5);
  expect(await list('--state', 'stored')).toHaveLength(1);
});

test('an upload that was deleted meanwhile begins anew', async () => {
  await killedInMidMultipart();
  const [before] = await list();
  await cli.run(['rm', before.id]);

  const { stdout } = await cli.run(['upload', '--json', '--strategy', 'presign', 'disk.img']);

  const { upload } = jsonLines(stdout)[0];
  expect(upload).toMatchObject({ state: 'stored', sha256: await file.sha256() });
  expect(upload.id).not.toBe(before.id);
});

test('a file killed after its last byte is completed, not sent again', async () => {
  await writeFile(cli.path('small.bin'), 'small');
  nth(1, 'POST', /\/complete$/, 'hold');
  const { child, result } = cli.start(['upload', '--strategy', 'presign', 'small.bin']);
  await proxy.held;
  child.kill('SIGKILL');
  await result;
  proxy.meddle = () => 'pass';

  const { code } = await cli.run(['upload', '--strategy', 'presign', 'small.bin']);

  expect(code).toBe(0);
  expect(await list()).toMatchObject([{ state: 'stored', size: 5 }]);
});

test.each([
  ['direct', /\/direct/],
  ['relay', /\/relay/],
  ['presign', /\/presign/],
])('%s: an answer that got lost doubles nothing', async (strategy, path) => {
  await writeFile(cli.path('once.bin'), await new RandomFile(3 * MIB, strategy).bytes());
  nth(1, 'POST', path, 'lose-answer');

  const { code, stderr } = await cli.run(['upload', '--strategy', strategy, 'once.bin']);

  expect(code).toBe(0);
  expect(stderr).toMatch(/the connection was cut; trying again/);
  expect(proxy.count('POST', path)).toBe(2);
  expect(await list()).toMatchObject([{ state: 'stored', size: 3 * MIB }]);
});

test.each([
  ['a part', 22 * MIB, PART, /\/parts$/, 6],
  ['a whole file', 1000, /^\/store\//, /\/link$/, 1],
])('a link to %s that ran out is replaced by a fresh one', async (_, size, link, sign, signed) => {
  await writeFile(cli.path('slow.bin'), await new RandomFile(size, 'slow').bytes());
  nth(1, 'PUT', link, { status: 403 });

  const { code } = await cli.run(['upload', '--strategy', 'presign', 'slow.bin']);

  expect(code).toBe(0);
  expect(proxy.count('POST', sign)).toBe(signed);
  expect(await list()).toMatchObject([{ state: 'stored', size }]);
});

test('a part whose connection is cut is sent again', async () => {
  await writeFile(cli.path('cut.bin'), await file.bytes());
  nth(2, 'PUT', PART, 'lose-answer');

  const { code, stdout } = await cli.run(['upload', '--json', '--strategy', 'presign', 'cut.bin']);

  expect(code).toBe(0);
  expect(jsonLines(stdout)[0].upload.sha256).toBe(await file.sha256());
  expect(proxy.count('PUT', PART)).toBe(6);
});

test.each(['direct', 'relay', 'presign'])('%s: a server that is killed and started again costs time only', async (strategy) => {
  await writeFile(cli.path('patient.bin'), await new RandomFile(3 * MIB, 'patient').bytes());
  nth(1, strategy === 'presign' ? 'PUT' : 'POST', strategy === 'presign' ? PART : /\/v1\/uploads\//, 'hold');
  const { result } = cli.start(['upload', '--strategy', strategy, 'patient.bin']);
  await proxy.held;
  await server.kill();
  server = await server.restart();
  proxy.forwardTo(server.port);
  proxy.cut();

  expect((await result).code).toBe(0);
  expect(await list()).toMatchObject([{ state: 'stored', size: 3 * MIB }]);
});

test('Ctrl-C says how to go on', async () => {
  await writeFile(cli.path('stopped.bin'), await file.bytes());
  nth(2, 'PUT', PART, 'hold');
  const { child, result } = cli.start(['upload', '--strategy', 'presign', 'stopped.bin']);
  await proxy.held;
  child.kill('SIGINT');

  const { code, stderr } = await result;

  expect(code).toBe(130);
  expect(stderr).toMatch(/run the same command again to continue/);
});

test('the token goes to the server, never to the store', async () => {
  await writeFile(cli.path('secret.bin'), 'x');

  await cli.run(['upload', '--strategy', 'presign', 'secret.bin'], { WINDLASS_TOKEN: 'wl_0123456789abcdef' });

  const sent = proxy.seen.map(({ path, headers }) => [path.startsWith('/store/') ? 'store' : 'server', headers.authorization]);
  expect(sent).toContainEqual(['server', 'Bearer wl_0123456789abcdef']);
  expect(sent).toContainEqual(['store', undefined]);
  expect(sent).not.toContainEqual(['store', expect.any(String)]);
});
