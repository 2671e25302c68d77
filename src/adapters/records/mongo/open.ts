import { openMongo } from './database.ts';
import { MongoIdempotencyRepository } from './idempotency.ts';
import { MongoIndexes } from './indexes.ts';
import { MongoLeaseRepository } from './leases.ts';
import { MongoNodeRepository } from './nodes.ts';
import { MongoResourceRepository } from './resources.ts';
import { MongoUploadRepository } from './uploads.ts';

/** All repositories on one connection. Throws `repository_unavailable` when the database cannot be used. */
export async function openMongoRecords(uri: string) {
  const database = await openMongo({ uri });
  return {
    records: {
      uploads: new MongoUploadRepository(database),
      resources: new MongoResourceRepository(database),
      idempotency: new MongoIdempotencyRepository(database),
      leases: new MongoLeaseRepository(database),
      nodes: new MongoNodeRepository(database),
    },
    indexes: new MongoIndexes(database),
    close: () => database.close(),
  };
}
