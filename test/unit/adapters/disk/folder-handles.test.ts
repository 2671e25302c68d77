import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FolderHandles } from '../../../../src/adapters/disk/folder-handles.ts';
import { eventually } from '../../../support/eventually.ts';

let folder: string;
/** The flushes that have begun and not ended, oldest first. */
let flushes: PromiseWithResolvers<void>[];
let begun: number;
let handles: FolderHandles;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'windlass-folder-'));
  flushes = [];
  begun = 0;
  handles = new FolderHandles(() => {
    begun += 1;
    const flush = Promise.withResolvers<void>();
    flushes.push(flush);
    return flush.promise;
  });
});
afterEach(() => rm(folder, { recursive: true }));

const hasBegun = (count: number): Promise<void> => eventually(async () => expect(begun).toBe(count));
const sync = (): { done: Promise<string> } => ({
  done: handles.sync(folder).then(
    () => 'flushed',
    (error: Error) => error.message,
  ),
});
/** Whatever was going to happen by now has happened. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('what asks at the same time shares a flush', async () => {
  const asked = [sync(), sync(), sync()];
  await hasBegun(1);
  flushes[0]?.resolve();
  expect(await Promise.all(asked.map(({ done }) => done))).toEqual(['flushed', 'flushed', 'flushed']);
  expect(begun).toBe(1);
});

test('what asks while a flush is under way waits for another one, which begins when that has ended', async () => {
  const first = sync();
  await hasBegun(1);
  const later = [sync(), sync()];
  await turns();
  expect(begun).toBe(1);
  flushes[0]?.resolve();
  expect(await first.done).toBe('flushed');
  await hasBegun(2);
  flushes[1]?.resolve();
  expect(await Promise.all(later.map(({ done }) => done))).toEqual(['flushed', 'flushed']);
  expect(begun).toBe(2);
});

test('a flush that fails is told to all that shared it, and to nobody else', async () => {
  const failing = [sync(), sync()];
  await hasBegun(1);
  const next = sync();
  flushes[0]?.reject(new Error('EIO'));
  expect(await Promise.all(failing.map(({ done }) => done))).toEqual(['EIO', 'EIO']);
  await hasBegun(2);
  flushes[1]?.resolve();
  expect(await next.done).toBe('flushed');
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
