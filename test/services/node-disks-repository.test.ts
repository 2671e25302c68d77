import { afterAll, beforeAll } from '@jest/globals';
import { MongoNodeRepository } from '../../src/adapters/records/mongo/nodes.ts';
import { describeNodeRepository } from '../contract/node-repository.ts';
import { type MongoUnderTest, mongoUnderTest } from '../support/mongo-database.ts';
import { withServers } from './with-servers.ts';

withServers(({ mongodbUri }) => {
  let mongo: MongoUnderTest;
  beforeAll(async () => {
    mongo = await mongoUnderTest(mongodbUri, 'windlass_nodes');
  });
  afterAll(() => mongo.close());

  describeNodeRepository('MongoDB', async () => {
    const opened = await mongo.open();
    return {
      repository: new MongoNodeRepository(opened.database),
      reopen: async () => new MongoNodeRepository(await opened.reopen()),
      close: () => opened.close(),
    };
  });
});
