import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Background } from '../../../../src/adapters/background/background.ts';
import { FileCalls } from '../../../../src/adapters/disk/file-calls.ts';
import { Folders } from '../../../../src/adapters/disk/folders.ts';
import { QuickFile } from '../../../../src/adapters/disk/quick-file.ts';
import { UnfinishedFile } from '../../../../src/adapters/disk/unfinished-file.ts';
import { eventually } from '../../../support/eventually.ts';
import { flagsOfOpenFiles } from '../../../support/open-files.ts';

let root: string;
let background: Background;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'windlass-quick-'));
  background = new Background();
});
afterEach(async () => {
  await background.close();
  await rm(root, { recursive: true, force: true });
});

const EIO = Object.assign(new Error('EIO'), { code: 'EIO' });

function fileWith({ calls = new FileCalls(background), folders = new Folders(root) } = {}): UnfinishedFile {
  const temporary = new QuickFile({ path: join(root, 'in the making'), calls, inFolder: (make) => make() });
  return new UnfinishedFile({ key: 'x', temporary, target: join(root, 'target'), folders, reservation: null, onEnd: () => undefined });
}

test('is made by its first bytes, grows by the next, and says what it is without being asked', async () => {
  const file = fileWith();
  expect(await readdir(root)).toEqual([]);
  await file.write([Buffer.from('ab'), Buffer.from(''), Buffer.from('c')]);
  await file.write([Buffer.from('de')]);
  const sealed = await file.seal();
  await file.commit();
  expect(await readFile(join(root, 'target'), 'utf8')).toBe('abcde');
  expect(sealed).toMatchObject({ key: 'x', size: 5, etag: expect.any(String), modifiedAt: expect.any(Number) });
});

test('without any bytes is there all the same', async () => {
  await fileWith().commit();
  expect(await readFile(join(root, 'target'), 'utf8')).toBe('');
});

test('that is discarded leaves nothing, whether or not it was begun', async () => {
  await fileWith().discard();
  const begun = fileWith();
  const writing = begun.write([Buffer.from('x')]);
  await new Promise(setImmediate);
  await begun.discard();
  await writing;
  expect(await readdir(root)).toEqual([]);
});

test('whose folder could not be flushed is taken back, but not what another has put in its place', async () => {
  const folders = new Folders(root);
  folders.sync = () => Promise.reject(EIO);
  const file = fileWith({ folders });
  await file.write([Buffer.from('x')]);
  await expect(file.commit()).rejects.toBe(EIO);
  expect(await readdir(root)).toEqual(['target']);
  await file.discard();
  expect(await readdir(root)).toEqual([]);

  const replaced = fileWith({ folders });
  await replaced.write([Buffer.from('x')]);
  await expect(replaced.commit()).rejects.toBe(EIO);
  const other = fileWith();
  await other.write([Buffer.from('other')]);
  await other.commit();
  await replaced.discard();
  expect(await readFile(join(root, 'target'), 'utf8')).toBe('other');
});

test.each(['ENOSPC', 'EDQUOT'])('%s is spool_full', async (code) => {
  const calls = new FileCalls(background);
  calls.append = () => Promise.reject(Object.assign(new Error(code), { code }));
  await expect(fileWith({ calls }).write([Buffer.from('x')])).rejects.toMatchObject({ code: 'spool_full', status: 507 });
});

test('whose write failed half-way is removed', async () => {
  const file = fileWith();
  await mkdir(join(root, 'in the making'));
  await expect(file.write([Buffer.from('x')])).rejects.toMatchObject({ code: 'EEXIST' });
  await rm(join(root, 'in the making'), { recursive: true });
  await file.discard();
  expect(await readdir(root)).toEqual([]);
});

(process.platform === 'linux' ? test : test.skip)('is written through to the disk', async () => {
  // A pipe that is full holds the thread in the middle of its write.
  const path = join(root, 'pipe');
  await promisify(execFile)('mkfifo', [path]);
  const reader = await open(path, constants.O_RDWR);
  const bytes = 96 * 1024;
  const appended = new FileCalls(background).append(path, false, [Buffer.alloc(bytes)]);
  await eventually(async () => expect(await flagsOf(path)).toContainEqual(constants.O_WRONLY | constants.O_DSYNC));
  for (let read = 0; read < bytes; ) read += (await reader.read(Buffer.alloc(bytes))).bytesRead;
  await appended;
  await reader.close();
});

/** How this process has opened the file at `path`, as far as it matters here, for each time it has. */
async function flagsOf(path: string): Promise<number[]> {
  const mask = constants.O_WRONLY | constants.O_RDWR | constants.O_DSYNC;
  return (await flagsOfOpenFiles((opened) => opened === path)).map((flags) => flags & mask);
}
