import { type FileHandle, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Folders } from '../../../../src/adapters/disk/folders.ts';
import { PooledFile } from '../../../../src/adapters/disk/pooled-file.ts';
import { UnfinishedFile } from '../../../../src/adapters/disk/unfinished-file.ts';
import { eventually } from '../../../support/eventually.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'windlass-file-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A file whose system calls can be made to misbehave. */
async function fileOver(change: (handle: FileHandle) => Partial<FileHandle>, name = 'target'): Promise<UnfinishedFile> {
  const temporary = join(root, `${name} in the making`);
  const handle = await open(temporary, 'wx');
  const overridden = new Proxy(handle, {
    get(target, name) {
      const member = Reflect.get(change(handle), name) ?? Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const folders = new Folders(root);
  return new UnfinishedFile({
    key: 'x',
    temporary: new PooledFile(temporary, overridden, false),
    target: join(root, name),
    folders,
    reservation: null,
    onEnd: () => undefined,
  });
}

test('a write that the system cuts short is carried on with', async () => {
  const file = await fileOver((handle) => ({
    writev: ((chunks: Uint8Array[], position: number) => handle.writev([Buffer.concat(chunks).subarray(0, 3)], position)) as never,
  }));
  await file.write([Buffer.from('ab'), Buffer.from(''), Buffer.from('cdefg'), Buffer.from('hij')]);
  expect(file.size).toBe(10);
  await file.commit();
  expect(await readFile(join(root, 'target'), 'utf8')).toBe('abcdefghij');
});

test.each(['ENOSPC', 'EDQUOT'])('%s while writing is spool_full, with a time to come back', async (code) => {
  const file = await fileOver(() => ({ writev: () => Promise.reject(Object.assign(new Error(code), { code })) }));
  await expect(file.write([Buffer.from('x')])).rejects.toMatchObject({ code: 'spool_full', status: 507, retryAfter: expect.any(Number) });
  await file.discard();
  expect(await readdir(root)).toEqual([]);
});

test('other errors of the system are passed on as they are', async () => {
  const file = await fileOver(() => ({ writev: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) }));
  await expect(file.write([Buffer.from('x')])).rejects.toMatchObject({ code: 'EIO' });
  await file.discard();
});

test('a file that could not be flushed is not there, and can be discarded', async () => {
  const file = await fileOver(() => ({ datasync: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) }));
  await file.write([Buffer.from('x')]);
  await expect(file.commit()).rejects.toMatchObject({ code: 'EIO' });
  await file.discard();
  expect(await readdir(root)).toEqual([]);
});

const LARGE = Buffer.alloc(16 * 1024 ** 2, 'x');

test('a large file is flushed while it is written, once more at its end, and no other one with it', async () => {
  const events: string[] = [];
  const releases: (() => void)[] = [];
  const flushing = (name: string) => (handle: FileHandle) => ({
    datasync: async () => {
      events.push(`${name} begins`);
      await new Promise<void>((resolve) => releases.push(resolve));
      await handle.datasync();
      events.push(`${name} ends`);
    },
  });
  const one = await fileOver(flushing('one'));
  const other = await fileOver(flushing('other'), 'other');
  await one.write([LARGE]);
  await one.write([LARGE]);
  await other.write([LARGE]);
  expect(events).toEqual(['one begins']);
  const committed = one.commit();
  releases.shift()?.();
  await eventually(() => expect(events).toEqual(['one begins', 'one ends', 'one begins']));
  // The file is its own again, and nobody's turn is taken.
  await other.write([Buffer.from('y')]);
  expect(events.at(-1)).toBe('other begins');
  for (const release of releases.splice(0)) release();
  await committed;
  expect((await readFile(join(root, 'target'))).length).toBe(2 * LARGE.length);
  await other.discard();
});

test('a flush that failed while the file was written fails the file, though the system tells of it only once', async () => {
  let flushes = 0;
  const file = await fileOver((handle) => ({
    datasync: () => {
      flushes += 1;
      return flushes === 1 ? Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })) : handle.datasync();
    },
  }));
  await file.write([LARGE]);
  await expect(file.commit()).rejects.toMatchObject({ code: 'spool_full' });
  expect(flushes).toBe(1);
  await file.discard();
  expect(await readdir(root)).toEqual([]);
});
