import { SqliteIdempotencyRepository } from '../../src/adapters/records/sqlite/idempotency.ts';
import { openSqliteFile } from '../support/sqlite-file.ts';
import { describeIdempotencyRepository } from './idempotency-repository.ts';

describeIdempotencyRepository('SQLite', async () => {
  const sqlite = await openSqliteFile();
  return {
    repository: new SqliteIdempotencyRepository(sqlite.database),
    reopen: async () => new SqliteIdempotencyRepository(await sqlite.reopen()),
    close: () => sqlite.close(),
  };
});
