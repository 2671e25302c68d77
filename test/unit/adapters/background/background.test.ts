import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Background } from '../../../../src/adapters/background/background.ts';
import { Database } from '../../../../src/adapters/sqlite/database.ts';

const GONE = { code: 'ERR_THREAD_GONE' };

describe('the background thread', () => {
  let folder: string;
  let background: Background;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'windlass-background-'));
    background = new Background();
  });
  afterEach(async () => {
    await background.close();
    await rm(folder, { recursive: true, force: true });
  });
  const append = (name: string, text = ''): Promise<unknown> =>
    background.call('files.append', [join(folder, name), true, [Buffer.from(text)]]);

  test('carries out calls in their order, and those before close', async () => {
    const calls = [append('a'), background.call('files.rename', [join(folder, 'a'), join(folder, 'b')]), append('a')];
    await background.close();
    await Promise.all(calls);
    expect((await readdir(folder)).sort()).toEqual(['a', 'b']);
    await expect(append('c')).rejects.toMatchObject(GONE);
  });

  test('answers a call that fails with its error, and its neighbours as ever', async () => {
    await writeFile(join(folder, 'there'), '');
    const calls = await Promise.allSettled([append('before'), append('there'), append('after')]);
    expect(calls.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(calls[1]).toMatchObject({ reason: { code: 'EEXIST', syscall: 'open', message: expect.stringContaining(folder) } });
  });

  test('is started again by the next call when it has died', async () => {
    // There is no database in this one: it dies of the question.
    const died = await Promise.allSettled([background.call('ping', []), background.call('ping', [])]);
    for (const call of died) expect(call).toMatchObject({ status: 'rejected', reason: GONE });
    await append('a');
    expect(await readdir(folder)).toEqual(['a']);
  });

  test('makes files also while its database cannot be opened', async () => {
    const both = new Background({ database: { file: join(folder, 'missing', 'windlass.db') } });
    const [asked, made] = await Promise.allSettled([
      new Database(both).call('ping'),
      both.call('files.append', [join(folder, 'a'), true, []]),
    ]);
    await both.close();
    expect(asked).toMatchObject({ status: 'rejected', reason: { code: 'repository_unavailable' } });
    expect(made.status).toBe('fulfilled');
  });
});
