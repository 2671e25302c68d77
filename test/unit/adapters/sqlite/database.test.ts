import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Background } from '../../../../src/adapters/background/background.ts';
import { Connection } from '../../../../src/adapters/sqlite/connection.ts';
import { Database, openDatabase } from '../../../../src/adapters/sqlite/database.ts';

const AWAY = { code: 'repository_unavailable', status: 503, retryAfter: 1 };
const take = (database: Database, name: string): Promise<boolean> => database.call('leases.acquire', name, 'me', 1_000, 2_000);
const taken = async (database: Database, name: string): Promise<boolean> =>
  !(await database.call('leases.acquire', name, 'somebody else', 1_001, 1_001));

describe('a database in the background thread', () => {
  let folder: string;
  let file: string;
  let opened: Database[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'windlass-database-'));
    file = join(folder, 'windlass.db');
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((database) => database.close()));
    await rm(folder, { recursive: true, force: true });
  });
  const open = async (options = {}): Promise<Database> => {
    const database = await openDatabase(file, new Background({ database: { file, ...options } }));
    opened.push(database);
    return database;
  };

  test('carries out what was called before close, and nothing after', async () => {
    const database = await open();
    const writes = Array.from({ length: 50 }, (_, i) => take(database, `lease-${i}`));
    await database.close();
    expect(await Promise.all(writes)).toEqual(Array(50).fill(true));
    await expect(take(database, 'late')).rejects.toMatchObject(AWAY);
    await database.close();
    const again = await open();
    expect(await taken(again, 'lease-49')).toBe(true);
    expect(await taken(again, 'late')).toBe(false);
  });

  test('leaves the neighbours of a call that fails as they are', async () => {
    const database = await open();
    const broken = database.call('uploads.insert', 'some-id', '{ not json', '[]');
    const [before, failed, after] = await Promise.allSettled([take(database, 'a'), broken, take(database, 'b')]);
    expect([before.status, failed.status, after.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((failed as PromiseRejectedResult).reason.message).toMatch(/malformed JSON/);
    expect((failed as PromiseRejectedResult).reason.code).toBeUndefined();
    expect(await database.call('uploads.find', 'some-id')).toBeUndefined();
  });

  test('reads while another process is writing; what it cannot write in time is an error that can be tried again', async () => {
    const database = await open({ busyTimeoutMs: 20 });
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const [write, read] = await Promise.allSettled([take(database, 'a'), database.call('uploads.backlog')]);
    expect(write).toMatchObject({ status: 'rejected', reason: { ...AWAY, cause: { message: expect.stringMatching(/locked/) } } });
    expect(read.status).toBe('fulfilled');
    other.exec('ROLLBACK');
    other.close();
    expect(await take(database, 'a')).toBe(true);
  });

  test('may be opened by several at once, the first time too', async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => open()));
    const answers = await Promise.all(all.map((database) => database.call('leases.acquire', 'one', `${Math.random()}`, 1_000, 2_000)));
    expect(answers.filter(Boolean)).toHaveLength(1);
  });

  test('says what is wrong with a file that is no database', async () => {
    await writeFile(file, 'something else '.repeat(1000));
    await expect(openDatabase(file)).rejects.toMatchObject({ ...AWAY, message: expect.stringMatching(/not a database/) });
  });

  test('tries again to open a file that could not be opened', async () => {
    const database = new Database(new Background({ database: { file: join(folder, 'missing', 'windlass.db') } }));
    opened.push(database);
    const calls = await Promise.allSettled([take(database, 'a'), database.call('ping')]);
    for (const call of calls) expect(call).toMatchObject({ status: 'rejected', reason: AWAY });
    await mkdir(join(folder, 'missing'));
    expect(await take(database, 'a')).toBe(true);
  });

  test('keeps no process alive that has nothing to ask of it', async () => {
    const module = new URL('../../../../src/adapters/sqlite/database.ts', import.meta.url);
    const script = `const { openDatabase } = await import(${JSON.stringify(module.href)});
      const database = await openDatabase(${JSON.stringify(file)});
      await database.call('leases.acquire', 'left', 'me', 1000, 2000);
      console.log('written');`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
    expect(stdout).toBe('written\n');
    expect(await taken(await open(), 'left')).toBe(true);
  });

  test('flushes each commit to the disk', () => {
    const connection = new Connection(file);
    expect(connection.get('PRAGMA journal_mode')).toEqual(['wal']);
    expect(connection.get('PRAGMA synchronous')).toEqual([2]);
    connection.close();
  });
});
