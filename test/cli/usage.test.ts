import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CommandLine, jsonLines } from '../support/command-line.ts';
import { runCommand, startServer } from '../support/server.ts';
import { useServer } from '../support/suite.ts';

const ID = '01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99';
const suite = useServer();
let cli: CommandLine;

beforeAll(async () => {
  cli = await CommandLine.open({ WINDLASS_URL: suite.server.url });
  await writeFile(cli.path('a.txt'), 'a');
});
afterAll(() => cli[Symbol.asyncDispose]());

test.each(['all', 'upload', 'status', 'list', 'get', 'rm', 'doctor', 'provision', 'token'])(
  'windlass help %s teaches by example',
  async (name) => {
    const { code, stdout } = await cli.run(['help', name]);

    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples?:\\n.*windlass ${name}`));
  },
);

test('windlass help names every command and the exit codes', async () => {
  const { code, stdout } = await cli.run(['help']);

  expect(code).toBe(0);
  for (const name of [
    'all',
    'token',
    'config',
    'upload',
    'status',
    'list',
    'get',
    'rm',
    'doctor',
    'provision',
    'audit',
    'reconcile',
    'redrive',
    'rebalance',
    'drain',
    'backup',
  ])
    expect(stdout).toMatch(new RegExp(`^ +${name}\\b`, 'm'));
  expect(stdout).toMatch(/Exit codes: 0 all done/);
});

test.each([
  ['an unknown command', ['uplod', 'a.txt'], /Did you mean upload\?/],
  ['an unknown option', ['upload', '--strateg', 'direct', 'a.txt'], /Did you mean --strategy\?/],
  ['an unknown strategy', ['upload', '--strategy', 'carrier-pigeon', 'a.txt'], /direct, relay, presign/],
  ['no file', ['upload'], /missing required argument/],
  ['a resource without id', ['upload', '--resource', 'post', 'a.txt'], /post\/42/],
  ['metadata without value', ['upload', '--metadata', 'author', 'a.txt'], /author=ann/],
  ['what is no id', ['status', '../admin/dead-letters'], /not the id of an upload/],
  ['a token as an argument', ['list', '--token', 'wl_secret'], /unknown option '--token'/],
  ['an address that is none', ['list', '--url', 'files.example.com'], /WINDLASS_URL: must be an http or https address/],
  ['a token file that is missing', ['list', '--token-file', 'nowhere'], /WINDLASS_TOKEN/],
])('%s ends with exit code 2 and a hint', async (_, args, hint) => {
  const { code, stderr, stdout } = await cli.run(args);

  expect(stderr).toMatch(hint);
  expect(stdout).toBe('');
  expect(stderr).not.toMatch(/ at .*\.ts/);
  expect(code).toBe(2);
});

test.each([
  ['upload', ['upload', 'a.txt']],
  ['presign', ['upload', '--strategy', 'presign', 'a.txt']],
  ['status', ['status', ID]],
  ['list', ['list']],
  ['get', ['get', ID, '-o', 'x']],
  ['rm', ['rm', ID]],
])('%s ends with exit code 3 when nobody answers', async (_, args) => {
  const { code, stderr } = await cli.run(args, { WINDLASS_URL: 'http://localhost:1' });

  expect(code).toBe(3);
  expect(stderr).toMatch(/cannot reach http:\/\/localhost:1: connection refused/);
  expect(stderr).toMatch(/WINDLASS_URL/);
});

test('something else at the address is told from Windlass', async () => {
  const { code, stderr } = await cli.run(['list'], { WINDLASS_URL: suite.server.opsUrl });

  expect(code).toBe(1);
  expect(stderr).toMatch(/404 Not Found/);
});

describe('with tokens', () => {
  test('a token from a file lets in; another one, or none, does not', async () => {
    await using maker = await CommandLine.open();
    const tokens = maker.path('tokens');
    const made = await maker.run(['token', '--tenant', 'acme'], { TOKENS_FILE: tokens });
    await writeFile(maker.path('acme.token'), made.stdout);
    await writeFile(maker.path('a.txt'), 'a');
    await using server = await startServer({ TOKENS_FILE: tokens });
    const at = { WINDLASS_URL: server.url };

    const byFile = await maker.run(['upload', '--json', '--token-file', 'acme.token', 'a.txt'], at);
    const byVariable = await maker.run(['list', '--json'], { ...at, WINDLASS_TOKEN: made.stdout.trim() });
    const wrong = await maker.run(['upload', 'a.txt'], { ...at, WINDLASS_TOKEN: 'wl_this-is-not-a-token' });
    const none = await maker.run(['upload', '--strategy', 'presign', 'a.txt'], at);

    expect(byFile.code).toBe(0);
    expect(jsonLines(byVariable.stdout)).toMatchObject([{ id: jsonLines(byFile.stdout)[0].upload.id }]);
    for (const { code, stderr } of [wrong, none]) {
      expect(code).toBe(1);
      expect(stderr).toMatch(/Unauthorized/);
      expect(stderr).toMatch(/--token-file/);
    }
    expect(wrong.stderr).not.toMatch(/wl_this/);
  });
});

describe('list, status and rm', () => {
  test('show, filter and delete what was uploaded', async () => {
    const uploaded = await cli.run(['upload', '--json', '--resource', 'order/7', 'a.txt']);
    const { id } = jsonLines(uploaded.stdout)[0].upload;

    const table = await cli.run(['list', '--resource', 'order/7']);
    const status = await cli.run(['status', id]);
    const removed = await cli.run(['rm', id]);
    const again = await cli.run(['rm', id]);
    const empty = await cli.run(['list', '--resource', 'order/7']);

    expect(table.stdout).toMatch(new RegExp(`^ID .*\\n${id}  stored  direct .* order/7 +a\\.txt\\n$`));
    expect(status.stdout).toMatch(/^state +stored$/m);
    expect([removed.code, removed.stdout]).toEqual([0, `deleted  ${id}\n`]);
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/Not found/);
    expect(empty.stdout).toBe('no uploads\n');
  });

  test('list follows the pages to the limit', async () => {
    const names = Array.from({ length: 5 }, (_, index) => `page-${index}.txt`);
    for (const name of names) await writeFile(cli.path(name), name);
    await cli.run(['upload', '--resource', 'page/1', ...names]);

    const three = await cli.run(['list', '--json', '--resource', 'page/1', '--limit', '3']);
    const all = await cli.run(['list', '--json', '--resource', 'page/1', '--limit', '1000']);

    expect(jsonLines(three.stdout)).toHaveLength(3);
    expect(
      jsonLines(all.stdout)
        .map(({ filename }) => filename)
        .sort(),
    ).toEqual(names);
  });

  test('rm deletes the others when one is not there', async () => {
    const { stdout } = await cli.run(['upload', '--json', 'a.txt']);
    const { id } = jsonLines(stdout)[0].upload;

    const { code, stdout: told } = await cli.run(['rm', ID, id]);

    expect(code).toBe(1);
    expect(told).toBe(`deleted  ${id}\n`);
  });
});

test('a server whose port is taken says so, and ends', async () => {
  const { code, stderr } = await runCommand(['all'], { PORT: String(suite.server.port), DATA_DIR: cli.path('second') });
  expect([code, stderr]).toEqual([1, expect.stringContaining('EADDRINUSE')]);
});
