import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FolderHandles } from '../../../../src/adapters/disk/folder-handles.ts';
import { eventually } from '../../../support/eventually.ts';

let folder: string;
/** Every flush that has begun, oldest first. */
let flushes: PromiseWithResolvers<void>[];
let handles: FolderHandles;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'windlass-folder-'));
  flushes = [];
  handles = new FolderHandles(() => {
    const flush = Promise.withResolvers<void>();
    flushes.push(flush);
    return flush.promise;
  });
});
afterEach(() => rm(folder, { recursive: true }));

const hasBegun = (count: number): Promise<void> => eventually(async () => expect(flushes).toHaveLength(count));
/** How it ended. */
const sync = (): Promise<string> =>
  handles.sync(folder).then(
    () => 'flushed',
    (error: Error) => error.message,
  );
/** Whatever was going to happen by now has happened. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('what asks at the same time shares a flush', async () => {
  const asked = [sync(), sync(), sync()];
  await hasBegun(1);
  flushes[0]?.resolve();
  expect(await Promise.all(asked)).toEqual(['flushed', 'flushed', 'flushed']);
  expect(flushes).toHaveLength(1);
});

test('what asks while a flush is under way waits for another one, which begins when that has ended', async () => {
  const first = sync();
  await hasBegun(1);
  const later = [sync(), sync()];
  await turns();
  expect(flushes).toHaveLength(1);
  flushes[0]?.resolve();
  expect(await first).toBe('flushed');
  await hasBegun(2);
  flushes[1]?.resolve();
  expect(await Promise.all(later)).toEqual(['flushed', 'flushed']);
  expect(flushes).toHaveLength(2);
});

test('a flush that fails is told to all that shared it, and to nobody else', async () => {
  const failing = [sync(), sync()];
  await hasBegun(1);
  const next = sync();
  flushes[0]?.reject(new Error('EIO'));
  expect(await Promise.all(failing)).toEqual(['EIO', 'EIO']);
  await hasBegun(2);
  flushes[1]?.resolve();
  expect(await next).toBe('flushed');
});

test('a folder that is gone is told of, and found again once it is made anew', async () => {
  handles = new FolderHandles();
  await rm(folder, { recursive: true });
  await expect(handles.sync(folder)).rejects.toThrow('ENOENT');
  await mkdir(folder);
  await handles.sync(folder);
  handles.forget(folder);
  await handles.sync(folder);
});
