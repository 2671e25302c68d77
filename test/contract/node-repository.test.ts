import { SqliteNodeRepository } from '../../src/adapters/records/sqlite/nodes.ts';
import { openSqliteFile } from '../support/sqlite-file.ts';
import { describeNodeRepository } from './node-repository.ts';

describeNodeRepository('SQLite', async () => {
  const sqlite = await openSqliteFile();
  return {
    repository: new SqliteNodeRepository(sqlite.database),
    reopen: async () => new SqliteNodeRepository(await sqlite.reopen()),
    close: () => sqlite.close(),
  };
});
