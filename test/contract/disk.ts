import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { diskKeyOf } from '../../src/core/keys.ts';
import type { Disk } from '../../src/ports/disk.ts';

export interface OpenedDisk {
  disk: Disk;
  close(): Promise<void>;
}

const keyFor = (digits: string, tenant = 'acme'): string =>
  diskKeyOf('files', tenant, `01993e6c-7d1e-7c3a-9b0a-${digits.padStart(12, '0')}`);

/** What every Disk does. */
export function describeDisk(name: string, open: () => Promise<OpenedDisk>): void {
  describe(`disk contract: ${name}`, () => {
    let opened: OpenedDisk;
    let disk: Disk;
    beforeEach(async () => {
      opened = await open();
      disk = opened.disk;
    });
    afterEach(() => opened.close());

    const bytesOf = async (stream: Readable | null): Promise<Buffer | null> => stream && (await buffer(stream));
    const store = async (key: string, content: string | Buffer): Promise<void> => {
      const file = await disk.create(key, content.length);
      await file.write([Buffer.from(content)]);
      await file.commit();
    };
    const keys = async (prefix: string): Promise<string[]> => {
      const found: string[] = [];
      for await (const key of disk.keys(prefix)) found.push(key);
      return found.sort();
    };

    test('a file is there with all its bytes once it is committed, and not before', async () => {
      const key = keyFor('1');
      const file = await disk.create(key, 11);
      await file.write([Buffer.from('hello '), Buffer.from('wor')]);
      await file.write([Buffer.from('ld')]);
      expect(file.size).toBe(11);
      expect(await disk.stat(key)).toBeNull();
      expect(await disk.read(key)).toBeNull();
      await file.commit();
      expect(await disk.stat(key)).toMatchObject({ key, size: 11 });
      expect((await bytesOf(await disk.read(key)))?.toString()).toBe('hello world');
    });

    test('many chunks of all lengths keep their order', async () => {
      const key = keyFor('2');
      const chunks = Array.from({ length: 3000 }, (_, index) => Buffer.alloc(index % 700, index % 251));
      const expected = createHash('sha256');
      for (const chunk of chunks) expected.update(chunk);
      const file = await disk.create(key, null);
      await file.write(chunks);
      await file.write([]);
      await file.commit();
      const found = createHash('sha256').update((await bytesOf(await disk.read(key))) ?? '');
      expect(found.digest('hex')).toBe(expected.digest('hex'));
    });

    test('an empty file is a file', async () => {
      await store(keyFor('3'), '');
      expect(await disk.stat(keyFor('3'))).toMatchObject({ size: 0 });
      expect(await bytesOf(await disk.read(keyFor('3')))).toHaveLength(0);
    });

    test('ranges include both ends and stop at the end of the file', async () => {
      await store(keyFor('4'), '0123456789');
      const range = async (start: number, end: number) => (await bytesOf(await disk.read(keyFor('4'), { start, end })))?.toString();
      expect(await range(0, 0)).toBe('0');
      expect(await range(3, 5)).toBe('345');
      expect(await range(8, 400)).toBe('89');
    });

    test('what is discarded leaves nothing behind, at whatever moment', async () => {
      const before = await disk.create(keyFor('5'), 5);
      await before.discard();
      await before.discard();
      const during = await disk.create(keyFor('5'), null);
      const writing = during.write([Buffer.alloc(4 * 1024 ** 2)]).catch(() => undefined);
      await Promise.all([during.discard(), writing]);
      const committed = during.commit();
      await expect(committed).rejects.toThrow();
      expect(await disk.stat(keyFor('5'))).toBeNull();
      expect(await disk.sweepUnfinished(Number.MAX_SAFE_INTEGER, false)).toBe(0);
    });

    test('discarding after the commit does nothing', async () => {
      const file = await disk.create(keyFor('6'), 4);
      await file.write([Buffer.from('kept')]);
      const committed = file.commit();
      await file.discard();
      await committed;
      await file.discard();
      expect((await bytesOf(await disk.read(keyFor('6'))))?.toString()).toBe('kept');
    });

    test('a file written again is replaced whole; who is reading the old one reads it to its end', async () => {
      const old = Buffer.alloc(3 * 1024 ** 2, 'o');
      await store(keyFor('7'), old);
      const reader = await disk.read(keyFor('7'));
      await store(keyFor('7'), 'new');
      expect((await bytesOf(reader))?.equals(old)).toBe(true);
      expect((await bytesOf(await disk.read(keyFor('7'))))?.toString()).toBe('new');
    });

    test('two writers of the same key do not mix: the last to commit has it', async () => {
      const [one, two] = await Promise.all([disk.create(keyFor('8'), 3), disk.create(keyFor('8'), 3)]);
      await Promise.all([one.write([Buffer.from('one')]), two.write([Buffer.from('two')])]);
      await two.commit();
      await one.commit();
      expect((await bytesOf(await disk.read(keyFor('8'))))?.toString()).toBe('one');
    });

    test('a reader that goes away early does no harm', async () => {
      await store(keyFor('9'), Buffer.alloc(5 * 1024 ** 2));
      const stream = await disk.read(keyFor('9'));
      for await (const _chunk of stream ?? []) break;
      expect(stream?.destroyed).toBe(true);
      expect(await disk.remove(keyFor('9'))).toBe(true);
    });

    test('removing says whether there was a file', async () => {
      await store(keyFor('10'), 'x');
      expect(await disk.remove(keyFor('10'))).toBe(true);
      expect(await disk.remove(keyFor('10'))).toBe(false);
      expect(await disk.read(keyFor('10'))).toBeNull();
    });

    test('a key that others lie below is no file', async () => {
      await store(keyFor('11'), 'x');
      expect(await disk.stat('files/acme')).toBeNull();
      expect(await disk.read('files/acme')).toBeNull();
      expect(await disk.stat(`${keyFor('11')}/below`)).toBeNull();
    });

    test('lists what begins with the prefix, and nothing unfinished', async () => {
      await store(keyFor('12'), 'x');
      await store(keyFor('13'), 'xy');
      await store(keyFor('14', 'acme-two'), 'x');
      const unfinished = await disk.create(keyFor('15'), 1);
      expect(await keys('')).toEqual([keyFor('12'), keyFor('13'), keyFor('14', 'acme-two')].sort());
      expect(await keys('files/acme/')).toEqual([keyFor('12'), keyFor('13')]);
      expect(await keys('files/acme')).toHaveLength(3);
      expect(await keys(keyFor('12'))).toEqual([keyFor('12')]);
      expect(await keys('spool/')).toEqual([]);
      await unfinished.discard();
    });

    test.each([
      '',
      '/',
      '/etc/passwd',
      '../up',
      'files/../../up',
      'files//x',
      'files/',
      'files/.hidden',
      'files/a\0b',
      'files/a\nb',
      'files/a\\b',
      '.unfinished/x',
    ])('refuses %j as a key', async (key) => {
      await expect(disk.create(key, null)).rejects.toThrow(/not a key/);
      await expect(disk.stat(key)).rejects.toThrow(/not a key/);
      await expect(disk.read(key)).rejects.toThrow(/not a key/);
      await expect(disk.remove(key)).rejects.toThrow(/not a key/);
    });

    test('knows the space of its file system', async () => {
      const { freeBytes, capacityBytes } = await disk.space();
      expect(capacityBytes).toBeGreaterThan(0);
      expect(freeBytes).toBeGreaterThan(0);
      expect(freeBytes).toBeLessThanOrEqual(capacityBytes);
    });
  });
}
