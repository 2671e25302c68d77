import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { v7 } from 'uuid';
import { DiskObjectStore } from '../../../../../src/adapters/object-store/disk/store.ts';

const WRITER = join(import.meta.dirname, '../../../../support/store-writer.ts');
const KILLS = 8;
// Each kill starts a process of its own.
jest.setTimeout(120_000);

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'windlass-crash-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const openStore = (): DiskObjectStore => new DiskObjectStore({ root, minFreeBytes: 0, newId: () => v7(), clock: Date.now });

/** Kills the writer after it has said so many lines; what it had reported as done. */
async function writeUntilKilled(lines: number): Promise<Map<string, string>> {
  const writer = spawn(process.execPath, [WRITER, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  const done = new Map<string, string>();
  const closed = once(writer, 'close');
  let count = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    const { done: key, sha256 } = JSON.parse(line) as { done?: string; sha256?: string };
    if (key && sha256) done.set(key, sha256);
    count += 1;
    // At another point within the work each time, without waiting for what follows.
    if (count === lines) setTimeout(() => writer.kill('SIGKILL'), Math.random() * 20);
  }
  await closed;
  expect(writer.signalCode).toBe('SIGKILL');
  return done;
}

test('a kill at any instant leaves whole objects only, and none that was reported as done is lost', async () => {
  const done = new Map<string, string>();
  for (let kill = 0; kill < KILLS; kill += 1) {
    for (const [key, sha256] of await writeUntilKilled(5 + kill * 3)) done.set(key, sha256);
    const store = openStore();
    for (const [key, sha256] of done) expect(await store.head(key)).toMatchObject({ sha256 });
    for await (const info of store.list('')) {
      const bytes = await buffer((await store.read(info.key)) as NodeJS.ReadableStream);
      const lines = new Set(bytes.toString().trimEnd().split('\n'));
      expect([info.key, lines.size]).toEqual([info.key, 1]);
      expect(info.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
      expect(info.contentType).not.toBeNull();
    }
  }
});

test('after a kill the open multipart uploads are there to be aborted, and the sweep removes what nothing owns', async () => {
  await writeUntilKilled(9);
  const store = openStore();
  for await (const { key, multipartId } of store.listMultiparts('')) await store.abortMultipart(key, multipartId);
  for await (const { key } of store.list('')) await store.remove(key);
  await store.sweep(Date.now() + 60_000);
  expect(await filesBelow(root)).toEqual([]);
});

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
