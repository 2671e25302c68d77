import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openMongo } from '../../src/adapters/records/mongo/database.ts';
import { MongoIdempotencyRepository } from '../../src/adapters/records/mongo/idempotency.ts';
import { MongoIndexes } from '../../src/adapters/records/mongo/indexes.ts';
import { MongoResourceRepository } from '../../src/adapters/records/mongo/resources.ts';
import { MongoUploadRepository } from '../../src/adapters/records/mongo/uploads.ts';
import { amend, transition, type Upload } from '../../src/core/upload.ts';
import { type MongoUnderTest, mongoUnderTest, type OpenedMongo, uriOf } from '../support/mongo-database.ts';
import { openMongoLine } from '../support/mongo-line.ts';
import { at, uploadRecord } from '../support/upload-record.ts';
import { withServers } from './with-servers.ts';

const ODD_NAMES = ['a.b', '$set', '.', '$', '', '__proto__', 'constructor', 'toString', '0', 'ñ 🐈'];
/** As JSON has it: an own member, even if its name is __proto__. */
const odd = <T>(value: T): Record<string, T> =>
  JSON.parse(`{${ODD_NAMES.map((name) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)}}`);

withServers(({ mongodbUri }) => {
  let mongo: MongoUnderTest;
  let opened: OpenedMongo;
  let uploads: MongoUploadRepository;
  beforeAll(async () => {
    mongo = await mongoUnderTest(mongodbUri, 'windlass_records');
  });
  afterAll(() => mongo.close());
  beforeEach(async () => {
    opened = await mongo.open();
    uploads = new MongoUploadRepository(opened.database);
  });
  afterEach(() => opened.close());

  const inserted = async (upload: Upload = uploadRecord()): Promise<Upload> => {
    await uploads.insert(upload);
    return upload;
  };

  describe('names that clients choose', () => {
    test('may be operators or paths: metadata and the messages that show it stay as they are', async () => {
      const upload = await inserted(uploadRecord({ metadata: odd('text') }));
      expect(JSON.stringify((await uploads.find(upload.id))?.metadata)).toBe(JSON.stringify(upload.metadata));
      const change = transition(upload, 'failed', {}, at(2_000));
      await uploads.apply(change);
      const found = await uploads.find(upload.id);
      expect(JSON.stringify(found?.outbox)).toBe(JSON.stringify([...upload.outbox, ...change.emit]));
      expect(JSON.stringify(found?.metadata)).toBe(JSON.stringify(upload.metadata));
    });

    test('may be any in attributes, at any depth', async () => {
      const resources = new MongoResourceRepository(opened.database);
      const key = { tenant: 'acme', type: 'post', id: '42' };
      const attributes = { ...odd(null), deep: [odd({ ...odd(1.5) })] };
      const resource = { ...key, attributes, revision: 1, intent: null, createdAt: 1_000, updatedAt: 1_000 };
      await resources.replace(resource, 0);
      await resources.replace({ ...resource, attributes: { again: attributes }, revision: 2 }, 1);
      await resources.touch(key, 2_000);
      expect(JSON.stringify((await resources.find(key))?.attributes)).toBe(JSON.stringify({ again: attributes }));
    });

    test('that look alike when put together are different keys', async () => {
      const keys = new MongoIdempotencyRepository(opened.database);
      const claim = { uploadId: 'one', holder: 'one', leaseUntil: 2_000, expiresAt: 9_000 };
      await keys.claim({ tenant: 'a', key: '","b', ...claim }, 1_000);
      const other = { tenant: 'a","', key: 'b', ...claim, holder: 'two' };
      expect(await keys.claim(other, 1_000)).toEqual(other);
    });
  });

  describe('one update wins', () => {
    test('of 200 that saw the same version, over two connections', async () => {
      const there = new MongoUploadRepository(await opened.another());
      const upload = await inserted();
      const results = await Promise.all(
        Array.from({ length: 200 }, (_, i) =>
          (i % 2 === 0 ? uploads : there).apply(
            transition(upload, 'relaying', { lease: { token: `worker-${i}`, expiresAt: 5_000 } }, at(2_000)),
          ),
        ),
      );
      const winners = results.flatMap((result) => (result ? [result] : []));
      expect(winners).toHaveLength(1);
      expect(await there.find(upload.id)).toEqual(winners[0]);
    });

    test('and of 100 changes that are tried until they go through none is lost', async () => {
      const upload = await inserted();
      const change = async (): Promise<void> => {
        for (;;) {
          const seen = (await uploads.find(upload.id)) as Upload;
          if (await uploads.apply(amend(seen, { attempts: seen.attempts + 1 }, at(2_000), 'relay'))) return;
        }
      };
      await Promise.all(Array.from({ length: 10 }, async () => void (await change())));
      expect(await uploads.find(upload.id)).toMatchObject({ version: 11, attempts: 10 });
      expect((await uploads.find(upload.id))?.outbox).toHaveLength(upload.outbox.length + 10);
    });
  });

  describe('the age of the outbox', () => {
    test('is that of the oldest message which is still there', async () => {
      const upload = await inserted();
      const { emit } = amend(upload, {}, at(5_000), 'relay');
      await uploads.apply({ ...amend(upload, {}, at(5_000)), emit });
      expect((await uploads.undelivered(2_000, 10)).map(({ id }) => id)).toEqual([upload.id]);
      await uploads.removeMessages(
        upload.id,
        upload.outbox.map(({ id }) => id),
      );
      expect(await uploads.undelivered(5_000, 10)).toEqual([]);
      expect(await uploads.undelivered(5_001, 10)).toMatchObject([{ id: upload.id, outbox: emit }]);
      expect(await uploads.backlog()).toMatchObject({ outboxMessages: 1, outboxOldestAt: 5_000 });
    });

    test('stays right while messages come and go from several sides', async () => {
      const upload = await inserted();
      const added: string[] = [];
      const add = async (now: number): Promise<void> => {
        for (;;) {
          const change = amend((await uploads.find(upload.id)) as Upload, {}, at(now), 'relay');
          if (!(await uploads.apply(change))) continue;
          added.push(...change.emit.map(({ id }) => id));
          return;
        }
      };
      const first = upload.outbox.map((message) => uploads.removeMessages(upload.id, [message.id]));
      await Promise.all([...first, add(3_000), add(4_000), add(5_000)]);
      expect(await uploads.backlog()).toMatchObject({ outboxMessages: 3, outboxOldestAt: 3_000 });
      await Promise.all(added.map((id) => uploads.removeMessages(upload.id, [id])));
      expect(await uploads.backlog()).toMatchObject({ outboxMessages: 0, outboxOldestAt: null });
      expect(await uploads.undelivered(9_000, 10)).toEqual([]);
    });
  });

  test('a sweep forgets more keys than go into one step', async () => {
    const keys = new MongoIdempotencyRepository(opened.database);
    const claims = Array.from({ length: 1_050 }, (_, i) => ({
      _id: `key-${i}`,
      tenant: 'acme',
      key: `${i}`,
      uploadId: 'one',
      holder: 'one',
      leaseUntil: 2_000,
      expiresAt: i < 1_040 ? 3_000 : 9_000,
    }));
    await opened.database.models.claims.insertMany(claims);
    expect(await keys.sweep(5_000)).toBe(1_040);
    expect(await opened.database.models.claims.countDocuments({})).toBe(10);
  });

  describe('provisioning', () => {
    test('makes every index once, whoever does it and how often', async () => {
      const { models } = opened.database;
      for (const { collection } of Object.values(models)) await collection.drop().catch(() => undefined);
      const indexes = new MongoIndexes(opened.database);
      const made = await indexes.provision();
      expect(new Set(made.map(({ outcome }) => outcome))).toEqual(new Set(['made']));
      const again = await Promise.all([indexes.provision(), new MongoIndexes(await opened.another()).provision()]);
      for (const steps of again) expect(steps).toEqual(made.map((step) => ({ ...step, outcome: 'unchanged' })));
      const names = await Promise.all(
        Object.values(models).map(async ({ collection }) =>
          (await collection.indexes().catch(() => [])).map(({ name }: { name?: string }) => `${collection.name}.${name}`),
        ),
      );
      expect(
        names
          .flat()
          .filter((name) => !name.endsWith('._id_'))
          .sort(),
      ).toEqual(made.map(({ subject }) => subject.replace('index ', '')).sort());
    });

    test('says which index the server refuses', async () => {
      const { collection } = opened.database.models.claims;
      await collection.drop().catch(() => undefined);
      await collection.createIndex({ holder: 1 }, { name: 'to_sweep' });
      await expect(new MongoIndexes(opened.database).provision()).rejects.toMatchObject({
        code: 'repository_unavailable',
        detail: expect.stringContaining('idempotency_claims.to_sweep'),
      });
      await collection.drop();
      await new MongoIndexes(opened.database).provision();
    });
  });

  describe('opening', () => {
    test('fails where nobody answers, naming the host and nothing secret', async () => {
      const failure = await openMongo({ uri: 'mongodb://user:geheim@127.0.0.1:1/windlass' }).catch((error) => error);
      expect(failure).toMatchObject({ code: 'repository_unavailable', status: 503, detail: expect.stringContaining('127.0.0.1:1') });
      expect(JSON.stringify([failure, failure.message, failure.cause])).not.toContain('geheim');
    });

    test.each(['postgres://user:geheim@127.0.0.1/windlass', 'mongodb://user:ge@heim@127.0.0.1/windlass', 'mongodb://user:geheim@/x', ''])(
      'refuses an address that cannot be read, without quoting it: %s',
      async (uri) => {
        const failure = await openMongo({ uri }).catch((error) => error);
        expect(failure).toMatchObject({ code: 'repository_unavailable', detail: expect.stringContaining('address') });
        expect(JSON.stringify([failure, failure.message, failure.cause ?? ''])).not.toContain('heim');
      },
    );

    test('keeps its promises whatever the address asks for', async () => {
      const commands: Record<string, unknown>[] = [];
      const { hostname: host, port } = new URL(mongo.uri);
      const line = await openMongoLine({ target: () => ({ host, port: Number(port) }), onCommand: (command) => commands.push(command) });
      const weak = 'w=1&journal=false&readConcernLevel=local&readPreference=secondaryPreferred&retryWrites=true';
      const database = await openMongo({ uri: `${uriOf(line.address, 'windlass_records')}?${weak}` });
      try {
        const repository = new MongoUploadRepository(database);
        const upload = uploadRecord();
        await repository.insert(upload);
        await repository.apply(transition(upload, 'failed', {}, at(2_000)));
        await repository.find(upload.id);
      } finally {
        await database.close();
        await line.close();
      }
      const sent = (name: string) => commands.find((command) => name in command);
      const durable = { writeConcern: { w: 'majority', j: true, wtimeout: expect.any(Number) }, maxTimeMS: expect.any(Number) };
      expect(sent('insert')).toMatchObject(durable);
      expect(sent('findAndModify')).toMatchObject(durable);
      expect(sent('find')).toMatchObject({ readConcern: { level: 'majority' }, maxTimeMS: expect.any(Number) });
      expect(JSON.stringify(sent('find'))).not.toContain('secondary');
    });
  });
});
