import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers';
import { type MongoDatabase, openMongo } from '../../src/adapters/records/mongo/database.ts';
import { MongoIdempotencyRepository } from '../../src/adapters/records/mongo/idempotency.ts';
import { MongoIndexes } from '../../src/adapters/records/mongo/indexes.ts';
import { MongoLeaseRepository } from '../../src/adapters/records/mongo/leases.ts';
import { MongoResourceRepository } from '../../src/adapters/records/mongo/resources.ts';
import { MongoUploadRepository } from '../../src/adapters/records/mongo/uploads.ts';
import { transition } from '../../src/core/upload.ts';
import { eventually } from '../support/eventually.ts';
import { uriOf } from '../support/mongo-database.ts';
import { type MongoLine, openMongoLine } from '../support/mongo-line.ts';
import { at, uploadRecord } from '../support/upload-record.ts';
import { startMongo } from './servers.ts';
import { withServers } from './with-servers.ts';

const AWAY = { code: 'repository_unavailable', status: 503, retryAfter: expect.any(Number) };
const CLAIM = { tenant: 'acme', key: 'key', uploadId: 'one', holder: 'one', leaseUntil: 2_000, expiresAt: 9_000 };

/** A hanging call must fail these tests long before Jest's own limit does: each waits for some answers of a few seconds. */
const TIMEOUT_MS = 40_000;

withServers(() => {
  let container: StartedTestContainer;
  let line: MongoLine;
  let port: number;
  let database: MongoDatabase;
  let uploads: MongoUploadRepository;
  beforeEach(async () => {
    ({ container } = await startMongo());
    port = container.getMappedPort(27017);
    line = await openMongoLine({ target: () => ({ host: container.getHost(), port }) });
    database = await openMongo({ uri: uriOf(line.address, 'windlass_outage') });
    await new MongoIndexes(database).provision();
    uploads = new MongoUploadRepository(database);
  });
  afterEach(async () => {
    await database.close();
    await line.close();
    await container.stop({ timeout: 1 });
  });

  const docker = async () => (await getContainerRuntimeClient()).container.getById(container.getId());

  /** One call of each kind. */
  const calls = (): Promise<unknown>[] => {
    const upload = uploadRecord();
    const key = { tenant: 'acme', type: 'post', id: '42' };
    return [
      uploads.ping(),
      uploads.insert(upload),
      uploads.find(upload.id),
      uploads.apply(transition(upload, 'failed', {}, at(2_000))),
      uploads.removeMessages(upload.id, ['message']),
      uploads.list({ tenant: 'acme', limit: 10 }),
      uploads.backlog(),
      new MongoResourceRepository(database).touch(key, 1_000),
      new MongoIdempotencyRepository(database).claim(CLAIM, 1_000),
      new MongoLeaseRepository(database).acquire('reconciler', 'one', 1_000, 2_000),
      new MongoIndexes(database).provision(),
    ];
  };

  test(
    'a server that no longer answers is told to every caller, and used again once it does',
    async () => {
      const upload = uploadRecord();
      await uploads.insert(upload);
      const server = await docker();
      await server.pause();
      try {
        for (const call of await Promise.allSettled(calls())) expect(call).toMatchObject({ status: 'rejected', reason: AWAY });
        await expect(uploads.apply(transition(upload, 'relaying', {}, at(2_000)))).rejects.toMatchObject(AWAY);
      } finally {
        await server.unpause();
      }
      const found = await eventually(() => uploads.find(upload.id));
      // That change was not acknowledged, and not refused either.
      expect([1, 2]).toContain(found?.version);
      for (const call of await Promise.allSettled(calls())) expect(call).toMatchObject({ status: 'fulfilled' });
    },
    TIMEOUT_MS,
  );

  test(
    'a server that is killed and started again has everything that was acknowledged',
    async () => {
      const server = await docker();
      const acknowledged: string[] = [];
      const failures: unknown[] = [];
      const write = async (): Promise<void> => {
        while (failures.length === 0) {
          const upload = uploadRecord();
          await uploads.insert(upload).then(
            () => acknowledged.push(upload.id),
            (error) => failures.push(error),
          );
        }
      };
      const writing = Promise.all(Array.from({ length: 8 }, write));
      await eventually(() => expect(acknowledged.length).toBeGreaterThan(100));
      await server.kill();
      await writing;
      for (const failure of failures) expect(failure).toMatchObject(AWAY);
      for (const call of await Promise.allSettled(calls())) expect(call).toMatchObject({ status: 'rejected', reason: AWAY });

      await server.start();
      port = Number((await server.inspect()).NetworkSettings.Ports['27017/tcp']?.[0]?.HostPort);
      await eventually(() => uploads.ping());
      const found = new Set((await uploads.findMany(acknowledged)).map(({ id }) => id));
      expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'a connection that ends just as the driver is told to look at its server again costs nothing but time',
    async () => {
      const upload = uploadRecord();
      await uploads.insert(upload);
      await lookAsTheConnectionEnds(database);
      line.cut();
      await eventually(async () => expect((await uploads.find(upload.id))?.id).toBe(upload.id), 30_000);
      for (const call of await Promise.allSettled(calls())) expect(call).toMatchObject({ status: 'fulfilled' });
    },
    TIMEOUT_MS,
  );
});

/** What there is inside the driver. */
interface Monitor {
  connection: { socket: Socket } | null;
  monitorId: { toJSON(): { timeSinceLastCall: number } };
}

/** Within this time of its last look, the driver does not look at once by any setting; milliseconds. */
const SHORTEST_PAUSE_MS = 500;

/** The instant at which a driver that looks at once writes to a connection that is closed, and waits for it for ever. */
async function lookAsTheConnectionEnds(database: MongoDatabase): Promise<void> {
  const { topology } = database.models.uploads.db.getClient() as unknown as {
    topology: { s: { servers: Map<string, { requestCheck(): void; monitor: Monitor }> } };
  };
  const [server] = topology.s.servers.values();
  if (!server) throw new Error('the driver has no server');
  const socket = await eventually(() => {
    const { connection, monitorId } = server.monitor;
    if (!connection || monitorId.toJSON().timeSinceLastCall < SHORTEST_PAUSE_MS) throw new Error('the driver has just looked');
    return connection.socket;
  });
  socket.destroy();
  server.requestCheck();
}
