/**
 * A process that writes to an embedded store without pause, until it is killed. Before each change it says what it is
 * about to do, and afterwards that it was done: one JSON line each. Every object consists of copies of its own first line.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { v7 } from 'uuid';
import { DiskObjectStore } from '../../src/adapters/object-store/disk/store.ts';
import { keyOf } from '../../src/core/keys.ts';

const [root = ''] = process.argv.slice(2);
const store = new DiskObjectStore({ root, minFreeBytes: 0, newId: () => v7(), clock: Date.now });
const say = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
const content = (): Buffer => Buffer.from(`${v7()}\n`.repeat(2000 + Math.floor(Math.random() * 6000)));
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function put(key: string, bytes: Buffer): Promise<string> {
  const sha256 = digest(bytes);
  const { etag } = await store.put(key, {
    size: bytes.length,
    contentType: 'text/plain',
    sha256,
    open: async () => Readable.from([Buffer.from(bytes)]),
  });
  return etag;
}

async function putAndFreeze(shared: string): Promise<void> {
  const [from, to] = [keyOf('staging', 'acme', v7()), keyOf('files', 'acme', v7())];
  const bytes = content();
  const etag = await put(from, bytes);
  say({ done: from, sha256: digest(bytes) });
  // The same key is written again and again, so that one object is often replaced by another.
  await put(shared, content());
  if (await store.freeze(from, to, etag)) say({ done: to, sha256: digest(bytes) });
}

async function complete(): Promise<void> {
  const key = keyOf('staging', 'acme', v7());
  const multipartId = await store.createMultipart(key, 'video/mp4');
  const line = Buffer.from(`${v7()}\n`.repeat(1500));
  const parts = [];
  for (const partNumber of [1, 2, 3]) {
    const part = await store.writePart({ key, multipartId, partNumber, size: line.length }, () => Readable.from([Buffer.from(line)]));
    if (part) parts.push(part);
  }
  say({ open: multipartId, key });
  await store.completeMultipart(key, multipartId, parts);
  say({ done: key, sha256: digest(Buffer.concat([line, line, line])) });
}

const shared = keyOf('staging', 'acme', v7());
for (;;) await Promise.all([putAndFreeze(shared), putAndFreeze(shared), complete()]);
