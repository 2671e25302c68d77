import { execFileSync } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { CommandLine, jsonLines } from '../support/command-line.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { RandomFile } from '../support/random-file.ts';
import { useServer } from '../support/suite.ts';

const SIZE = 3_000_000;
const CUT = 1_000_000;
const MAKE_PIPE = 'mkfifo';
const suite = useServer();
const file = new RandomFile(SIZE, 'download');
let proxy: MeddlingProxy;
let cli: CommandLine;
let id: string;

beforeAll(async () => {
  await using uploader = await CommandLine.open({ WINDLASS_URL: suite.server.url });
  await writeFile(uploader.path('.profile'), await file.bytes());
  const { stdout } = await uploader.run(['upload', '--json', '.profile']);
  id = jsonLines(stdout)[0].upload.id;
});

beforeEach(async () => {
  proxy = await MeddlingProxy.open();
  proxy.forwardTo(suite.server.port);
  cli = await CommandLine.open({ WINDLASS_URL: proxy.url });
});
afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

const isDownload = ({ method, path }: { method: string; path: string }): boolean => method === 'GET' && path.endsWith('/content');
const ranges = (): (string | undefined)[] => proxy.seen.filter(isDownload).map(({ headers }) => headers.range);
const expectWhole = async (name: string): Promise<void> => expect((await readFile(cli.path(name))).equals(await file.bytes())).toBe(true);

test('get writes a file that is whole, in place of the one before', async () => {
  await writeFile(cli.path('out.bin'), 'old');

  const { code } = await cli.run(['get', id, '-o', 'out.bin']);

  expect(code).toBe(0);
  await expectWhole('out.bin');
  expect(await readdir(cli.folder)).toEqual(['out.bin']);
});

test('get without -o writes to stdout', async () => {
  await writeFile(cli.path('text.txt'), 'first line\nlast line\n');
  const uploaded = await cli.run(['upload', '--json', 'text.txt']);

  const { code, stdout } = await cli.run(['get', jsonLines(uploaded.stdout)[0].upload.id]);

  expect({ code, stdout }).toEqual({ code: 0, stdout: 'first line\nlast line\n' });
});

test('a pipe is written to and stays a pipe', async () => {
  execFileSync(MAKE_PIPE, [cli.path('pipe')]);
  const read = readFile(cli.path('pipe'));

  const { code } = await cli.run(['get', id, '-o', 'pipe']);

  expect(code).toBe(0);
  expect((await read).equals(await file.bytes())).toBe(true);
  expect((await stat(cli.path('pipe'))).isFIFO()).toBe(true);
});

test('into a folder, the name that others chose hides nothing and replaces nothing', async () => {
  const first = await cli.run(['get', id, '-o', '.']);
  const second = await cli.run(['get', id, '-o', '.']);

  expect(first.code).toBe(0);
  await expectWhole('_profile');
  expect(second.code).toBe(1);
  expect(second.stderr).toMatch(/there already/);
});

test('a cut connection is continued where it broke', async () => {
  let cuts = 0;
  proxy.meddle = (one) => (isDownload(one) && ++cuts === 1 ? { cutAfter: CUT } : 'pass');

  const { code } = await cli.run(['get', id, '-o', 'out.bin']);

  expect(code).toBe(0);
  await expectWhole('out.bin');
  expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/)]);
});

/** Downloads the first part of the file and is killed while it waits for more. */
async function killedInMidDownload(): Promise<void> {
  let tries = 0;
  proxy.meddle = (one) => (!isDownload(one) ? 'pass' : ++tries === 1 ? { cutAfter: CUT } : 'hold');
  const { child, result } = cli.start(['get', id, '-o', 'out.bin']);
  await proxy.held;
  child.kill('SIGKILL');
  await result;
  proxy.meddle = () => 'pass';
  proxy.seen.length = 0;
}

test('a download that was killed is continued by the same command', async () => {
  await killedInMidDownload();
  expect(await readdir(cli.folder)).toEqual([`.windlass-${id}.part`]);

  const { code } = await cli.run(['get', id, '-o', 'out.bin']);

  expect(code).toBe(0);
  await expectWhole('out.bin');
  expect(ranges()).toEqual([expect.stringMatching(/^bytes=\d+-$/)]);
  expect(await readdir(cli.folder)).toEqual(['out.bin']);
});

test('what an earlier run left is thrown away when it is damaged', async () => {
  await killedInMidDownload();
  await writeFile(cli.path(`.windlass-${id}.part`), Buffer.alloc(CUT / 2));

  const { code } = await cli.run(['get', id, '-o', 'out.bin']);

  expect(code).toBe(0);
  await expectWhole('out.bin');
});

test('bytes that are not those of the record never get the name of the file', async () => {
  proxy.meddle = (one) => (isDownload(one) ? 'falsify' : 'pass');

  const { code, stderr } = await cli.run(['get', id, '-o', 'out.bin']);

  expect(code).toBe(1);
  expect(stderr).toMatch(/SHA-256/);
  expect(await readdir(cli.folder)).toEqual([]);
});

test('what is not there is not found', async () => {
  const { code, stderr } = await cli.run(['get', '01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99', '-o', 'out.bin']);

  expect(code).toBe(1);
  expect(stderr).toMatch(/Not found/);
  expect(await readdir(cli.folder)).toEqual([]);
});
