import { SqliteLeaseRepository } from '../../src/adapters/records/sqlite/leases.ts';
import { openSqliteFile } from '../support/sqlite-file.ts';
import { describeLeaseRepository } from './lease-repository.ts';

describeLeaseRepository('SQLite', async () => {
  const sqlite = await openSqliteFile();
  return {
    repository: new SqliteLeaseRepository(sqlite.database),
    reopen: async () => new SqliteLeaseRepository(await sqlite.reopen()),
    close: () => sqlite.close(),
  };
});
