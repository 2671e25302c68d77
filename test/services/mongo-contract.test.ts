import { afterAll, beforeAll } from '@jest/globals';
import { MongoIdempotencyRepository } from '../../src/adapters/records/mongo/idempotency.ts';
import { MongoLeaseRepository } from '../../src/adapters/records/mongo/leases.ts';
import { MongoResourceRepository } from '../../src/adapters/records/mongo/resources.ts';
import { MongoUploadRepository } from '../../src/adapters/records/mongo/uploads.ts';
import { describeIdempotencyRepository } from '../contract/idempotency-repository.ts';
import { describeLeaseRepository } from '../contract/lease-repository.ts';
import { describeResourceRepository } from '../contract/resource-repository.ts';
import { describeUploadRepository } from '../contract/upload-repository.ts';
import { type MongoUnderTest, mongoUnderTest } from '../support/mongo-database.ts';
import { withServers } from './with-servers.ts';

withServers(({ mongodbUri }) => {
  let mongo: MongoUnderTest;
  beforeAll(async () => {
    mongo = await mongoUnderTest(mongodbUri, 'windlass_contract');
  });
  afterAll(() => mongo.close());

  describeUploadRepository('MongoDB', async () => {
    const opened = await mongo.open();
    return {
      repository: new MongoUploadRepository(opened.database),
      reopen: async () => new MongoUploadRepository(await opened.reopen()),
      close: () => opened.close(),
    };
  });

  describeResourceRepository('MongoDB', async () => {
    const opened = await mongo.open();
    return {
      repository: new MongoResourceRepository(opened.database),
      reopen: async () => new MongoResourceRepository(await opened.reopen()),
      close: () => opened.close(),
    };
  });

  describeIdempotencyRepository('MongoDB', async () => {
    const opened = await mongo.open();
    return {
      repository: new MongoIdempotencyRepository(opened.database),
      reopen: async () => new MongoIdempotencyRepository(await opened.reopen()),
      close: () => opened.close(),
    };
  });

  describeLeaseRepository('MongoDB', async () => {
    const opened = await mongo.open();
    return {
      repository: new MongoLeaseRepository(opened.database),
      reopen: async () => new MongoLeaseRepository(await opened.reopen()),
      close: () => opened.close(),
    };
  });
});
