import { SqliteResourceRepository } from '../../src/adapters/records/sqlite/resources.ts';
import { openSqliteFile } from '../support/sqlite-file.ts';
import { describeResourceRepository } from './resource-repository.ts';

describeResourceRepository('SQLite', async () => {
  const sqlite = await openSqliteFile();
  return {
    repository: new SqliteResourceRepository(sqlite.database),
    reopen: async () => new SqliteResourceRepository(await sqlite.reopen()),
    close: () => sqlite.close(),
  };
});
