import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { loadOrCreateSecret } from '../../../../../src/adapters/object-store/disk/secret.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'windlass-secret-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('the key is made once, for its owner alone, and is the same ever after', async () => {
  const file = join(root, 'secrets', 'link.key');
  const secret = await loadOrCreateSecret(file);
  expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await loadOrCreateSecret(file)).toBe(secret);
});

test('all who start at about the same time have the same key', async () => {
  for (const round of ['1', '2', '3', '4', '5']) {
    const file = join(root, round, 'link.key');
    const startLater = async (turns: number): Promise<string> => {
      for (let turn = 0; turn < turns; turn += 1) await setImmediate();
      return loadOrCreateSecret(file);
    };
    const secrets = await Promise.all(Array.from({ length: 20 }, (_, index) => startLater(index)));
    expect(new Set(secrets).size).toBe(1);
    expect(await readdir(join(root, round))).toEqual(['link.key']);
  }
});

test('each installation has a key of its own', async () => {
  expect(await loadOrCreateSecret(join(root, 'one'))).not.toBe(await loadOrCreateSecret(join(root, 'two')));
});

test('a file that holds no key stops the start instead of being replaced', async () => {
  await writeFile(join(root, 'link.key'), '');
  await expect(loadOrCreateSecret(join(root, 'link.key'))).rejects.toThrow(/does not hold a key/);
});
