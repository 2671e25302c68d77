import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CommandLine, jsonLines } from '../support/command-line.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { RandomFile } from '../support/random-file.ts';
import { startServer } from '../support/server.ts';
import { useServer } from '../support/suite.ts';

const MIB = 1024 ** 2;
const suite = useServer({ SINGLE_PART_BYTES: '1MiB', PART_BYTES: '5MiB' });
let cli: CommandLine;

beforeAll(async () => {
  cli = await CommandLine.open({ WINDLASS_URL: suite.server.url });
});
afterAll(() => cli[Symbol.asyncDispose]());

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function contentOf(url: string): Promise<string> {
  return sha256(new Uint8Array(await (await fetch(url)).arrayBuffer()));
}

describe.each(['direct', 'relay', 'presign'])('windlass upload --strategy %s', (strategy) => {
  test('stores files of every size, and says so in JSON', async () => {
    const sizes = { 'empty.txt': 0, 'one.csv': 1, 'large.bin': 11 * MIB + 7 };
    for (const [name, size] of Object.entries(sizes)) await writeFile(cli.path(name), await new RandomFile(size, name).bytes());

    const { code, stdout, stderr } = await cli.run(['upload', '--json', '--strategy', strategy, ...Object.keys(sizes)]);

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = jsonLines(stdout);
    expect(lines.map(({ file, upload }) => [file, upload.state, upload.strategy, upload.size, upload.contentType]).sort()).toEqual([
      ['empty.txt', 'stored', strategy, 0, 'text/plain'],
      ['large.bin', 'stored', strategy, 11 * MIB + 7, 'application/octet-stream'],
      ['one.csv', 'stored', strategy, 1, 'text/csv'],
    ]);
    for (const { file, upload } of lines) expect(await contentOf(upload.url)).toBe(await new RandomFile(upload.size, file).sha256());
  });

  test('links the file to its resource and keeps what was said about it', async () => {
    await writeFile(cli.path('note.bin'), strategy);
    const args = [
      '--resource',
      `post/${strategy}`,
      '--metadata',
      'author=ann',
      '--metadata',
      'sum=1=1',
      '--type',
      'text/x-note',
      '--name',
      'renamed.txt',
    ];

    const { stdout } = await cli.run(['upload', '--json', '--strategy', strategy, ...args, 'note.bin']);

    expect(jsonLines(stdout)[0].upload).toMatchObject({
      resource: { type: 'post', id: strategy },
      metadata: { author: 'ann', sum: '1=1' },
      contentType: 'text/x-note',
      filename: 'renamed.txt',
    });
  });

  test('takes names that others made up', async () => {
    const names = [
      'emoji 🦆.txt',
      'quote"; filename=evil.txt',
      'new\nline.txt',
      '\u001b[31mred.txt',
      "rock'n'roll%2F..%2F.txt",
      'ünïcödé\u202etxt.exe',
      '--help',
    ];
    for (const name of names) await writeFile(cli.path(name), 'x');

    const { code, stdout } = await cli.run(['upload', '--strategy', strategy, '--', ...names]);
    const uploads = jsonLines((await cli.run(['list', '--json', '--strategy', strategy, '--limit', String(names.length)])).stdout);

    expect(code).toBe(0);
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e]/u);
    const recorded = uploads.map(({ filename }) => filename);
    expect(recorded).toContain('emoji 🦆.txt');
    expect(recorded).toContain('quote"; filename=evil.txt');
    expect(recorded).toContain('--help');
    expect(recorded.join('')).not.toMatch(/\p{Cc}/u);
  });

  test('refuses a file that is not what it says, with the cause and the next step', async () => {
    await writeFile(cli.path('fake.jpg'), Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'));

    const { code, stderr, stdout } = await cli.run(['upload', '--strategy', strategy, 'fake.jpg']);

    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/fake\.jpg: Content mismatch: .*image\/png/);
    expect(stderr).toMatch(/--type/);
    expect(stderr).toMatch(/\/docs\/errors#content_mismatch/);
    expect(stderr).not.toMatch(/ at .*\.ts/);
  });
});

test('one bad file does not stop the others', async () => {
  await writeFile(cli.path('good.txt'), 'good');
  await mkdir(cli.path('folder'), { recursive: true });

  const { code, stdout } = await cli.run(['upload', '--json', 'missing.txt', 'good.txt', 'folder']);

  expect(code).toBe(1);
  const results = Object.fromEntries(jsonLines(stdout).map(({ file, ok, error }) => [file, ok || error.code]));
  expect(results).toEqual({ 'good.txt': true, 'missing.txt': 'ENOENT', folder: 'EISDIR' });
});

test.each(['direct', 'relay'])('%s uploads what comes from a pipe', async (strategy) => {
  const bytes = await new RandomFile(3 * MIB, 'pipe').bytes();

  const { code, stdout } = await cli.run(['upload', '--json', '--strategy', strategy, '--name', 'dump.sql', '-'], {}, bytes);

  expect(code).toBe(0);
  expect(jsonLines(stdout)[0].upload).toMatchObject({ state: 'stored', filename: 'dump.sql', size: 3 * MIB, sha256: sha256(bytes) });
});

test.each(['file', 'pipe'])('a %s that the server recorded differently is no success', async (from) => {
  await using proxy = await MeddlingProxy.open();
  proxy.forwardTo(suite.server.port);
  proxy.meddle = ({ method }) => (method === 'POST' ? { rewrite: [/"sha256":"[0-9a-f]{64}"/, `"sha256":"${'0'.repeat(64)}"`] } : 'pass');
  await writeFile(cli.path('told.txt'), 'told');

  const { code, stderr } = await cli.run(['upload', from === 'file' ? 'told.txt' : '-'], { WINDLASS_URL: proxy.url }, Buffer.from('told'));

  expect(code).toBe(1);
  expect(stderr).toMatch(/recorded other bytes than were sent .*\n.*windlass rm /);
});

test('what the server does not take is refused before its bytes are sent, with the limit', async () => {
  await using server = await startServer({ MAX_UPLOAD_BYTES: '2MiB' });
  await writeFile(cli.path('large.bin'), await new RandomFile(40 * MIB, 'large').bytes());

  const { code, stderr } = await cli.run(['upload', 'large.bin'], { WINDLASS_URL: server.url });

  expect(code).toBe(1);
  expect(stderr).toMatch(/large\.bin: Too large: .*\n {2}limit: 2097152\n.*MAX_UPLOAD_BYTES/);
});

test('presign cannot take a pipe, and says what can', async () => {
  const { code, stderr } = await cli.run(['upload', '--strategy', 'presign', '-'], {}, Buffer.from('x'));

  expect(code).toBe(2);
  expect(stderr).toMatch(/--strategy direct or relay/);
});

test('--no-wait ends when a relayed file is accepted; status --wait sees it through', async () => {
  await writeFile(cli.path('later.txt'), 'later');

  const { code, stdout } = await cli.run(['upload', '--json', '--strategy', 'relay', '--no-wait', 'later.txt']);
  const { id, state } = jsonLines(stdout)[0].upload;
  const status = await cli.run(['status', '--wait', '--json', id]);

  expect([code, state]).toEqual([0, 'queued']);
  expect(status.code).toBe(0);
  expect(jsonLines(status.stdout)[0]).toMatchObject({ id, state: 'stored' });
});
