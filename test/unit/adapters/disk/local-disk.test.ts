import { constants } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { Background } from '../../../../src/adapters/background/background.ts';
import { LocalDisk, type LocalDiskOptions } from '../../../../src/adapters/disk/local-disk.ts';
import { diskKeyOf } from '../../../../src/core/keys.ts';
import { flagsOfOpenFiles } from '../../../support/open-files.ts';

const KEY = diskKeyOf('files', 'acme', '01993e6c-7d1e-7c3a-9b0a-000000000001');
const MIB = 1024 ** 2;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'windlass-disk-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** The two ways in which small files are made. */
const background = new Background();
afterAll(() => background.close());

const diskIn = (options: Partial<LocalDiskOptions>): LocalDisk => new LocalDisk({ root, minFreeBytes: 0, newId: () => v7(), ...options });

describe.each([
  ["the pool's threads", {}],
  ['the background thread', { background }],
])('a disk whose small files are made by %s', (_, way) => {
  const diskWith = (options: Partial<LocalDiskOptions> = {}): LocalDisk => diskIn({ ...way, ...options });
  const withFree = (freeBytes: number, minFreeBytes: number): LocalDisk =>
    diskWith({ minFreeBytes, measure: async () => ({ freeBytes, capacityBytes: 100 * MIB }), clock: () => 0 });

  test('uploads that begin at the same time cannot slip under the watermark together', async () => {
    const disk = withFree(100 * MIB, 20 * MIB);
    const begun = await Promise.allSettled(Array.from({ length: 10 }, () => disk.create(KEY, 25 * MIB)));
    const files = begun.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(files).toHaveLength(3);
    for (const one of begun)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'spool_full', retryAfter: expect.any(Number) });
    await files[0]?.discard();
    const next = await disk.create(KEY, 25 * MIB);
    await Promise.all([...files, next].map((file) => file.discard()));
  });

  test('bytes that were written since the last measurement are not free', async () => {
    const disk = withFree(100 * MIB, 20 * MIB);
    const file = await disk.create(KEY, 60 * MIB);
    for (let written = 0; written < 60; written += 4) await file.write([Buffer.alloc(4 * MIB)]);
    await file.commit();
    await expect(disk.create(KEY, 30 * MIB)).rejects.toMatchObject({ code: 'spool_full' });
    await (await disk.create(KEY, 20 * MIB)).discard();
  });

  test('an upload of unknown size is stopped at the watermark', async () => {
    const disk = withFree(40 * MIB, 20 * MIB);
    const file = await disk.create(KEY, null);
    await file.write([Buffer.alloc(16 * MIB)]);
    await expect(file.write([Buffer.alloc(MIB)])).rejects.toMatchObject({ code: 'spool_full' });
    await file.discard();
    expect(await readdir(join(root, '.unfinished'))).toEqual([]);
  });

  test('a disk that is full already takes nothing', async () => {
    await expect(withFree(MIB, 2 * MIB).create(KEY, null)).rejects.toMatchObject({ code: 'spool_full' });
  });

  test('only the owner and the group can read what is stored', async () => {
    const file = await diskWith().create(KEY, 1);
    await file.write([Buffer.from('x')]);
    await file.commit();
    expect((await stat(join(root, KEY))).mode & 0o137).toBe(0);
    expect((await stat(join(root, 'files'))).mode & 0o027).toBe(0);
  });

  test('the sweep removes what a dead process left, and never what this one is writing', async () => {
    const dead = await diskWith().create(KEY, 4);
    await dead.write([Buffer.from('dead')]);
    const disk = diskWith();
    const alive = await disk.create(KEY, 5);
    await alive.write([Buffer.from('alive')]);
    const hourAgo = Date.now() / 1000 - 3600;
    for (const name of await readdir(join(root, '.unfinished'))) await utimes(join(root, '.unfinished', name), hourAgo, hourAgo);
    const before = Date.now() - 60_000;
    expect(await disk.sweepUnfinished(before - 7_200_000, true)).toBe(0);
    expect(await disk.sweepUnfinished(before, false)).toBe(1);
    expect(await disk.sweepUnfinished(before, true)).toBe(1);
    await alive.commit();
    expect(await disk.stat(KEY)).toMatchObject({ size: 5 });
    await dead.discard();
    expect(await readdir(join(root, '.unfinished'))).toEqual([]);
  });

  test('folders that were removed while the disk was in use are made again', async () => {
    const disk = diskWith();
    for (const content of ['one', 'two']) {
      const file = await disk.create(KEY, 3);
      await file.write([Buffer.from(content)]);
      await file.commit();
      await rm(join(root, 'files'), { recursive: true });
      await rm(join(root, '.unfinished'), { recursive: true });
    }
    const file = await disk.create(KEY, 0);
    await rm(join(root, 'files'), { recursive: true, force: true });
    await file.commit();
    expect(await disk.stat(KEY)).toMatchObject({ size: 0 });
  });

  test('what lies in the folder and is no key is not listed', async () => {
    const disk = diskWith();
    await (await disk.create(KEY, 0)).commit();
    await mkdir(join(root, 'lost+found'));
    await writeFile(join(root, '.DS_Store'), '');
    const keys: string[] = [];
    for await (const { key } of disk.list('')) keys.push(key);
    expect(keys).toEqual([KEY]);
  });
});

/** Of the files of this process that are open below `folder`: whether each write to it is flushed. */
async function openedForDurableWrites(folder: string): Promise<boolean[]> {
  return (await flagsOfOpenFiles((path) => path.startsWith(`${folder}/`))).map((flags) => (flags & constants.O_DSYNC) !== 0);
}

(process.platform === 'linux' ? test : test.skip)(
  'a small file is on the disk when its write returns, a large one when it is flushed',
  async () => {
    const disk = diskIn({});
    const small = await disk.create(KEY, 128 * 1024);
    expect(await openedForDurableWrites(root)).toEqual([true]);
    await small.discard();
    for (const expectedSize of [128 * 1024 + 1, null]) {
      const large = await disk.create(KEY, expectedSize);
      expect(await openedForDurableWrites(root)).toEqual([false]);
      await large.discard();
    }
  },
);
