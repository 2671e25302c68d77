import { expect, test } from '@jest/globals';
import { SqliteUploadRepository } from '../../src/adapters/records/sqlite/uploads.ts';
import { killAfter } from '../support/killed-process.ts';
import { openSqliteFile } from '../support/sqlite-file.ts';
import { uploadRecord } from '../support/upload-record.ts';
import { describeUploadRepository } from './upload-repository.ts';

describeUploadRepository('SQLite', async () => {
  const sqlite = await openSqliteFile();
  return {
    repository: new SqliteUploadRepository(sqlite.database),
    reopen: async () => new SqliteUploadRepository(await sqlite.reopen()),
    close: () => sqlite.close(),
  };
});

test('SQLite: what was acknowledged before a kill -9 is there', async () => {
  const sqlite = await openSqliteFile();
  try {
    const acknowledged = await killAfter(300, new URL('./upload-repository-writer.ts', import.meta.url), [sqlite.file]);
    const repository = new SqliteUploadRepository(await sqlite.reopen());
    for (const line of acknowledged) {
      const [id, version] = line.split(' ');
      const found = await repository.find(id ?? '');
      expect(found?.version).toBeGreaterThanOrEqual(Number(version));
    }
  } finally {
    await sqlite.close();
  }
});

test('SQLite: two processes may write to the same file', async () => {
  const sqlite = await openSqliteFile();
  try {
    const here = new SqliteUploadRepository(sqlite.database);
    const there = new SqliteUploadRepository(await sqlite.another());
    const uploads = Array.from({ length: 200 }, () => uploadRecord());
    await Promise.all(uploads.map((upload, i) => (i % 2 === 0 ? here : there).insert(upload)));
    expect(await here.scan({ limit: 500 })).toHaveLength(200);
    expect(await there.scan({ limit: 500 })).toHaveLength(200);
  } finally {
    await sqlite.close();
  }
});
