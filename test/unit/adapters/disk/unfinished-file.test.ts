import { type FileHandle, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Folders } from '../../../../src/adapters/disk/folders.ts';
import { UnfinishedFile } from '../../../../src/adapters/disk/unfinished-file.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'windlass-file-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A file whose system calls can be made to misbehave. */
async function fileOver(change: (handle: FileHandle) => Partial<FileHandle>): Promise<UnfinishedFile> {
  const temporary = join(root, 'temporary');
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
    temporary,
    target: join(root, 'target'),
    handle: overridden,
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
