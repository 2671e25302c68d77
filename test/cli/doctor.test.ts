import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { CommandLine, jsonLines } from '../support/command-line.ts';
import { storedFiles } from '../support/data-folder.ts';
import { startServer } from '../support/server.ts';

type States = Record<string, string>;
const statesOf = (stdout: string): States => Object.fromEntries(jsonLines(stdout).map(({ subject, state }) => [subject, state]));

test('provision makes what is missing, once; the doctor then finds nothing broken, and nothing is left of its probes', async () => {
  await using cli = await CommandLine.open({ MIN_FREE_BYTES: '0', PORT: '0' });

  const before = await cli.run(['doctor', '--json']);
  const untouched = await readdir(cli.folder);
  const first = await cli.run(['provision']);
  const second = await cli.run(['provision']);
  const after = await cli.run(['doctor', '--json']);

  expect(before.code).toBe(0);
  expect(statesOf(before.stdout)).toMatchObject({ settings: 'ok', DATA_DIR: 'warning' });
  expect(statesOf(before.stdout)).toMatchObject({ database: 'skipped', queue: 'skipped', 'object store': 'skipped' });
  expect(untouched).toEqual([]);
  expect(first.code).toBe(0);
  expect(first.stdout.match(/^made /gm)).toHaveLength(6);
  expect(second.stdout.match(/^was there /gm)).toHaveLength(6);
  expect(after.code).toBe(0);
  expect(statesOf(after.stdout)).toMatchObject({
    DATA_DIR: 'ok',
    SPOOL_DIR: 'ok',
    database: 'ok',
    queue: 'ok',
    'object store': 'ok',
    'public address': 'skipped',
  });
  expect(await storedFiles(cli.path('data'))).toEqual([]);
});

test('beside the server the doctor proves links and CORS through the public address', async () => {
  await using server = await startServer({ CORS_ORIGINS: 'https://app.example.com' });
  await using cli = await CommandLine.open({ DATA_DIR: server.dataDir, PUBLIC_URL: server.url, MIN_FREE_BYTES: '0' });

  const healthy = await cli.run(['doctor', '--json'], { CORS_ORIGINS: 'https://app.example.com' });
  const otherKey = await cli.run(['doctor', '--json'], { LINK_SECRET: 'not the key of the server' });
  const otherOrigin = await cli.run(['doctor', '--json'], { CORS_ORIGINS: 'https://elsewhere.example.com' });

  expect(statesOf(healthy.stdout)).toMatchObject({ clock: 'ok', 'signed PUT': 'ok', 'CORS preflight': 'ok' });
  expect(healthy.code).toBe(0);
  expect(otherKey.code).toBe(1);
  expect(statesOf(otherKey.stdout)).toMatchObject({ 'signed PUT': 'broken' });
  expect(otherOrigin.code).toBe(1);
  expect(statesOf(otherOrigin.stdout)).toMatchObject({ 'signed PUT': 'ok', 'CORS preflight': 'broken' });
  expect(await storedFiles(server.dataDir)).toEqual([]);
});

test('what is broken is told with what to do about it', async () => {
  await using cli = await CommandLine.open({ PORT: '0' });
  await mkdir(cli.path('data/direct'), { recursive: true });
  await writeFile(cli.path('data/spool'), 'a file where a folder should be');
  await writeFile(cli.path('tokens'), 'this is no token\n');

  const { code, stdout } = await cli.run(['doctor'], { TOKENS_FILE: './tokens', MIN_FREE_BYTES: '1000TiB' });
  const wrong = await cli.run(['doctor'], { PORT: 'eighty', LINK_TTL_SECONDS: '0' });

  expect(code).toBe(1);
  expect(stdout).toMatch(/^BROKEN +tokens: line 1 is not a token .* -> .*windlass token/m);
  expect(stdout).toMatch(/^BROKEN +SPOOL_DIR: .* is no folder -> /m);
  expect(stdout).toMatch(/^BROKEN +space in DATA_DIR: .* -> Uploads are answered 507/m);
  expect(wrong.code).toBe(1);
  expect(wrong.stdout).toMatch(/PORT: must be a whole number/);
  expect(wrong.stdout).toMatch(/LINK_TTL_SECONDS: must be from 1/);
});
