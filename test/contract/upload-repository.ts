import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { amend, dueBackup, type Lease, type NewUpload, type OutboxMessage, transition, type Upload } from '../../src/core/upload.ts';
import type { UploadFilter, UploadRepository } from '../../src/ports/upload-repository.ts';
import { at, uploadRecord } from '../support/upload-record.ts';

export interface OpenedUploadRepository {
  /** Empty. */
  repository: UploadRepository;
  /** The same records through a new connection; the old one is gone. */
  reopen(): Promise<UploadRepository>;
  close(): Promise<void>;
}

const NO_BACKUPS = { backupsDue: 0, backupsOldestAt: null };
const LEASE: Lease = { token: 'worker-1', expiresAt: 5_000 };
const ids = (uploads: readonly Upload[]): string[] => uploads.map(({ id }) => id);

/** What every UploadRepository does. */
export function describeUploadRepository(name: string, open: () => Promise<OpenedUploadRepository>): void {
  describe(`upload repository contract: ${name}`, () => {
    let opened: OpenedUploadRepository;
    let repository: UploadRepository;
    beforeEach(async () => {
      opened = await open();
      repository = opened.repository;
    });
    afterEach(() => opened.close());

    const inserted = async (fields: Partial<NewUpload> = {}, now = 1_000): Promise<Upload> => {
      const upload = uploadRecord(fields, now);
      await repository.insert(upload);
      return upload;
    };
    const insertedMany = async (count: number, fields: Partial<NewUpload> = {}): Promise<Upload[]> => {
      const uploads = Array.from({ length: count }, () => uploadRecord(fields));
      for (const upload of uploads) await repository.insert(upload);
      return uploads;
    };
    const applied = async (change: Parameters<UploadRepository['apply']>[0]): Promise<Upload> => {
      const changed = await repository.apply(change);
      if (!changed) throw new Error('the record has moved on');
      return changed;
    };
    const leased = async (upload: Upload, lease: Lease = LEASE): Promise<Upload> =>
      applied(transition(upload, 'relaying', { lease, attempts: upload.attempts + 1 }, at(2_000)));

    describe('one record', () => {
      test('is found as it was written', async () => {
        const upload = await inserted({ resource: { type: 'post', id: '42' }, metadata: { colour: 'red' }, expiresAt: 9_000 });
        expect(await repository.find(upload.id)).toEqual(upload);
      });

      test('that does not exist is null', async () => {
        expect(await repository.find(v7())).toBeNull();
      });

      test('keeps strings of any kind, and finds by them', async () => {
        const odd = [
          `'; DROP TABLE uploads; --`,
          '"quoted" \\back\\',
          '100%_$[0]',
          '🐈‍⬛ ñ 漢字 \u202e',
          'tab\tnew\nline',
          '__proto__',
          '$set',
        ];
        for (const text of odd) {
          const upload = await inserted({ filename: text, metadata: { [`key ${text}`]: text }, resource: { type: text, id: text } });
          expect(await repository.find(upload.id)).toEqual(upload);
          expect(ids(await repository.list({ tenant: 'acme', resource: { type: text, id: text }, limit: 10 }))).toEqual([upload.id]);
        }
      });

      test('cannot be inserted twice: the first one stays', async () => {
        const first = await inserted();
        await expect(repository.insert({ ...first, filename: 'other.jpg' })).rejects.toMatchObject({ code: 'conflict' });
        expect((await repository.find(first.id))?.filename).toBe('cat.jpg');
      });

      test('inserted by several at once is inserted once', async () => {
        const id = v7();
        const results = await Promise.allSettled(
          Array.from({ length: 8 }, (_, i) => repository.insert(uploadRecord({ id, filename: `${i}` }))),
        );
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
        const winner = results.findIndex(({ status }) => status === 'fulfilled');
        expect((await repository.find(id))?.filename).toBe(`${winner}`);
      });

      test('is there after closing and opening again, changes and messages included', async () => {
        const upload = await inserted();
        const changed = await leased(upload);
        repository = await opened.reopen();
        expect(await repository.find(upload.id)).toEqual(changed);
      });

      test('is purged only in the version that was seen', async () => {
        const upload = await inserted();
        const changed = await leased(upload);
        expect(await repository.purge(upload.id, upload.version)).toBe(false);
        expect(await repository.purge(upload.id, changed.version)).toBe(true);
        expect(await repository.find(upload.id)).toBeNull();
        expect(await repository.purge(upload.id, changed.version)).toBe(false);
      });
    });

    test('findMany gives those that exist', async () => {
      const [first, second] = await insertedMany(3);
      const found = await repository.findMany([second?.id ?? '', v7(), first?.id ?? '']);
      expect(ids(found).sort()).toEqual([first?.id, second?.id]);
      expect(found.find(({ id }) => id === first?.id)).toEqual(first);
      expect(await repository.findMany([])).toEqual([]);
    });

    describe('a change', () => {
      test('sets its fields, raises the version by one and appends its messages', async () => {
        const upload = await inserted();
        const change = transition(upload, 'relaying', { lease: LEASE, attempts: 1 }, at(2_000));
        const expected = { ...upload, ...change.set, version: 2, outbox: [...upload.outbox, ...change.emit] };
        expect(await repository.apply(change)).toEqual(expected);
        expect(await repository.find(upload.id)).toEqual(expected);
      });

      test('can set a field to null, and leaves what it does not name', async () => {
        const upload = await leased(await inserted({ resource: { type: 'post', id: '42' }, metadata: { colour: 'red' } }));
        const changed = await applied(amend(upload, { lease: null, resource: null }, at(3_000)));
        expect(changed).toMatchObject({ lease: null, resource: null, metadata: { colour: 'red' }, state: 'relaying', attempts: 1 });
      });

      test('of an older version changes nothing', async () => {
        const upload = await inserted();
        const changed = await leased(upload);
        expect(await repository.apply(transition(upload, 'failed', {}, at(3_000)))).toBeNull();
        expect(await repository.find(upload.id)).toEqual(changed);
      });

      test('of a record that does not exist is null', async () => {
        expect(await repository.apply(transition(uploadRecord(), 'failed', {}, at(3_000)))).toBeNull();
      });

      test('made by many at once goes through for exactly one', async () => {
        const upload = await inserted();
        const changes = Array.from({ length: 20 }, (_, i) =>
          transition(upload, 'relaying', { lease: { token: `worker-${i}`, expiresAt: 5_000 } }, at(2_000)),
        );
        const results = await Promise.all(changes.map((change) => repository.apply(change)));
        const winners = results.flatMap((result) => (result ? [result] : []));
        expect(winners).toHaveLength(1);
        expect(await repository.find(upload.id)).toEqual(winners[0]);
      });

      test('keeps members that this version does not know', async () => {
        const upload = uploadRecord();
        const fromNextVersion = { ...upload, colour: { of: 'tomorrow', when: null } };
        await repository.insert(fromNextVersion);
        const changed = await leased(fromNextVersion);
        expect(changed).toMatchObject({ colour: { of: 'tomorrow', when: null } });
        await repository.renewLease(upload.id, LEASE.token, 6_000);
        await repository.removeMessages(upload.id, [upload.outbox[0]?.id ?? '']);
        expect(await repository.find(upload.id)).toMatchObject({ colour: { of: 'tomorrow', when: null } });
      });
    });

    describe('a lease', () => {
      test('is prolonged by its holder, without raising the version', async () => {
        const upload = await leased(await inserted());
        expect(await repository.renewLease(upload.id, LEASE.token, 8_000)).toBe(true);
        expect(await repository.find(upload.id)).toEqual({ ...upload, lease: { ...LEASE, expiresAt: 8_000 } });
      });

      test('that was taken over cannot be prolonged, and its former holder cannot commit', async () => {
        const first = await leased(await inserted());
        const second = await leased(first, { token: 'worker-2', expiresAt: 9_000 });
        expect(await repository.renewLease(first.id, 'worker-1', 8_000)).toBe(false);
        expect(await repository.apply(transition(first, 'stored', {}, at(3_000)))).toBeNull();
        expect(await repository.find(first.id)).toEqual(second);
      });

      test('that nobody has cannot be prolonged', async () => {
        const upload = await inserted();
        expect(await repository.renewLease(upload.id, 'worker-1', 8_000)).toBe(false);
        expect(await repository.renewLease(v7(), 'worker-1', 8_000)).toBe(false);
        expect((await repository.find(upload.id))?.lease).toBeNull();
      });
    });

    describe('the outbox', () => {
      test('loses the messages that were published and no others, without raising the version', async () => {
        const upload = await inserted();
        const [job, event] = upload.outbox as [OutboxMessage, OutboxMessage];
        await repository.removeMessages(upload.id, [job.id, v7()]);
        expect(await repository.find(upload.id)).toEqual({ ...upload, outbox: [event] });
        await repository.removeMessages(upload.id, [job.id]);
        await repository.removeMessages(upload.id, []);
        expect((await repository.find(upload.id))?.outbox).toEqual([event]);
      });

      test('of a record that is gone is nothing to worry about', async () => {
        await expect(repository.removeMessages(v7(), [v7()])).resolves.toBeUndefined();
      });

      test('keeps what is appended while published messages are taken out', async () => {
        for (let round = 0; round < 20; round += 1) {
          const upload = await inserted();
          const change = amend(upload, { attempts: round }, at(2_000), 'relay');
          const removal = () =>
            repository.removeMessages(
              upload.id,
              upload.outbox.map(({ id }) => id),
            );
          await (round % 2 === 0 ? Promise.all([repository.apply(change), removal()]) : Promise.all([removal(), repository.apply(change)]));
          expect(await repository.find(upload.id)).toMatchObject({ version: 2, attempts: round, outbox: change.emit });
        }
      });

      test('is found by its age, oldest first, until it is empty', async () => {
        const late = await inserted({}, 3_000);
        const early = await inserted({}, 1_000);
        const middle = await inserted({}, 2_000);
        expect(ids(await repository.undelivered(3_000, 10))).toEqual([early.id, middle.id]);
        expect(ids(await repository.undelivered(9_000, 10))).toEqual([early.id, middle.id, late.id]);
        expect(ids(await repository.undelivered(9_000, 1))).toEqual([early.id]);
        expect((await repository.undelivered(9_000, 1))[0]).toEqual(early);
        await repository.removeMessages(early.id, ids(early.outbox as unknown as Upload[]));
        expect(ids(await repository.undelivered(9_000, 10))).toEqual([middle.id, late.id]);
      });

      test('has a backlog that can be measured', async () => {
        expect(await repository.backlog()).toEqual({ outboxMessages: 0, outboxOldestAt: null, queuedOldestAt: null, ...NO_BACKUPS });
        await inserted({}, 3_000);
        const oldest = await inserted({}, 2_000);
        await inserted({ strategy: 'presign' }, 500);
        expect(await repository.backlog()).toEqual({ outboxMessages: 4, outboxOldestAt: 2_000, queuedOldestAt: 2_000, ...NO_BACKUPS });
        await repository.removeMessages(oldest.id, ids(oldest.outbox as unknown as Upload[]));
        expect(await repository.backlog()).toEqual({ outboxMessages: 2, outboxOldestAt: 3_000, queuedOldestAt: 2_000, ...NO_BACKUPS });
        await leased((await repository.find(oldest.id)) as Upload);
        expect(await repository.backlog()).toEqual({ outboxMessages: 3, outboxOldestAt: 2_000, queuedOldestAt: 3_000, ...NO_BACKUPS });
      });
    });

    describe('the list', () => {
      const listed = async (filter: Partial<UploadFilter> = {}): Promise<string[]> =>
        ids(await repository.list({ tenant: 'acme', limit: 50, ...filter }));

      test('has the newest first, of one tenant only', async () => {
        const uploads = await insertedMany(3);
        await insertedMany(2, { tenant: 'other' });
        expect(await listed()).toEqual(ids(uploads).reverse());
        expect((await repository.list({ tenant: 'acme', limit: 1 }))[0]).toEqual(uploads[2]);
        expect(await listed({ tenant: 'nobody' })).toEqual([]);
      });

      test('is read page by page, whatever is inserted meanwhile', async () => {
        const uploads = await insertedMany(5);
        const seen: string[] = [];
        let before: string | undefined;
        for (;;) {
          const page = await listed({ before, limit: 2 });
          if (page.length === 0) break;
          seen.push(...page);
          before = page.at(-1);
          await inserted();
        }
        expect(seen).toEqual(ids(uploads).reverse());
      });

      test('is narrowed by state, strategy and resource, alone and together', async () => {
        const post = { type: 'post', id: '42' };
        const relay = await inserted({ resource: post });
        const direct = await inserted({ strategy: 'direct', resource: { type: 'post', id: '43' } });
        const presign = await inserted({ strategy: 'presign', resource: { type: 'page', id: '42' } });
        expect(await listed({ state: 'queued' })).toEqual([relay.id]);
        expect(await listed({ strategy: 'direct' })).toEqual([direct.id]);
        expect(await listed({ resource: post })).toEqual([relay.id]);
        expect(await listed({ resourceType: 'post' })).toEqual([direct.id, relay.id]);
        expect(await listed({ resourceId: '42' })).toEqual([presign.id, relay.id]);
        expect(await listed({ resourceType: 'page', resourceId: '42', strategy: 'presign', state: 'pending' })).toEqual([presign.id]);
        expect(await listed({ strategy: 'direct', state: 'queued' })).toEqual([]);
        expect(await listed({ tenant: 'other', resource: post })).toEqual([]);
      });

      test('leaves out what is deleted, unless it is asked for', async () => {
        const [kept, deleted] = (await insertedMany(2, { resource: { type: 'post', id: '42' } })) as [Upload, Upload];
        await applied(transition(deleted, 'deleted', {}, at(2_000)));
        expect(await listed()).toEqual([kept.id]);
        expect(await listed({ strategy: 'relay' })).toEqual([kept.id]);
        expect(await listed({ resourceId: '42' })).toEqual([kept.id]);
        expect(await listed({ state: 'deleted' })).toEqual([deleted.id]);
      });

      test('follows a change of the resource', async () => {
        const upload = await inserted({ resource: { type: 'post', id: '42' } });
        await applied(amend(upload, { resource: { type: 'post', id: '43' } }, at(2_000)));
        expect(await listed({ resource: { type: 'post', id: '42' } })).toEqual([]);
        expect(await listed({ resource: { type: 'post', id: '43' } })).toEqual([upload.id]);
      });
    });

    describe('the scan', () => {
      test('finds what lies on one server, page by page, and follows what moves', async () => {
        const location = (node: string | null, key = 'files/acme/ab/x') => ({ store: 'disk' as const, bucket: null, key, node });
        const [first, second] = await insertedMany(2, { strategy: 'direct', location: location('api-0') });
        const elsewhere = await inserted({ strategy: 'direct', location: location('api-00') });
        await inserted({ strategy: 'direct', location: location(null) });
        await inserted({ location: null });
        const on = async (node: string, more = {}) => ids(await repository.scan({ states: ['stored'], node, limit: 10, ...more }));
        expect(await on('api-0')).toEqual(ids([first as Upload, second as Upload]));
        expect(await on('api-0', { limit: 1 })).toEqual([first?.id]);
        expect(await on('api-0', { after: first?.id })).toEqual([second?.id]);
        expect(await on('api')).toEqual([]);
        await applied(amend(first as Upload, { location: location('api-00', 'files/acme/ab/y') }, at(2_000)));
        await applied(transition(second as Upload, 'deleted', {}, at(2_000)));
        expect(await on('api-0')).toEqual([]);
        expect(await on('api-00')).toEqual(ids([first as Upload, elsewhere]));
        expect(ids(await repository.scan({ node: 'api-0', limit: 10 }))).toEqual([second?.id]);
      });

      test('finds the backups that are still to be made, by how long they have been asked for, and counts them', async () => {
        const late = await inserted({ strategy: 'direct', backup: dueBackup(3_000) });
        const early = await inserted({ strategy: 'direct', backup: dueBackup(1_000) });
        await inserted({ strategy: 'direct' });
        const made = { state: 'made', store: 's3', bucket: 'b', key: 'backups/acme/ab/x', at: 9_000 } as const;
        await inserted({ strategy: 'direct', backup: made });
        const deleted = await inserted({ strategy: 'direct', backup: dueBackup(1_000) });
        await applied(transition(deleted, 'deleted', {}, at(2_000)));
        const due = async (backupDueBefore: number) => ids(await repository.scan({ states: ['stored'], backupDueBefore, limit: 10 }));
        expect([await due(1_000), await due(3_000), await due(9_000)]).toEqual([[], [early.id], ids([late, early]).sort()]);
        expect(await repository.backlog()).toMatchObject({ backupsDue: 2, backupsOldestAt: 1_000 });
        await applied(amend(early, { backup: made }, at(2_000)));
        expect((await repository.find(early.id))?.backup).toEqual(made);
        expect(await due(9_000)).toEqual([late.id]);
        expect(await repository.backlog()).toMatchObject({ backupsDue: 1, backupsOldestAt: 3_000 });
      });

      test('goes through the records of all tenants by ascending id', async () => {
        const uploads = [...(await insertedMany(3)), ...(await insertedMany(3, { tenant: 'other' }))];
        expect(await repository.scan({ limit: 4 })).toEqual(uploads.slice(0, 4));
        expect(ids(await repository.scan({ after: uploads[3]?.id ?? '', limit: 4 }))).toEqual(ids(uploads.slice(4)));
      });

      test('takes several states, deleted ones too', async () => {
        const queued = await inserted();
        const pending = await inserted({ strategy: 'presign' });
        await inserted({ strategy: 'direct' });
        const deleted = await inserted();
        await applied(transition(deleted, 'deleted', {}, at(2_000)));
        expect(ids(await repository.scan({ states: ['deleted', 'pending', 'queued'], limit: 10 }))).toEqual([
          queued.id,
          pending.id,
          deleted.id,
        ]);
        expect(ids(await repository.scan({ states: ['deleted', 'pending', 'queued'], limit: 2 }))).toEqual([queued.id, pending.id]);
        expect(ids(await repository.scan({ states: ['deleted', 'queued'], after: queued.id, limit: 2 }))).toEqual([deleted.id]);
        expect(await repository.scan({ states: [], limit: 2 })).toEqual([]);
      });

      test('finds what was last changed, or lapses, strictly before a time', async () => {
        const old = await inserted({ expiresAt: 5_000 }, 1_000);
        const young = await inserted({ expiresAt: 6_000 }, 2_000);
        await inserted({}, 3_000);
        expect(ids(await repository.scan({ updatedBefore: 2_000, limit: 10 }))).toEqual([old.id]);
        expect(ids(await repository.scan({ expiresBefore: 6_000, limit: 10 }))).toEqual([old.id]);
        expect(ids(await repository.scan({ expiresBefore: 99_000, limit: 10 }))).toEqual([old.id, young.id]);
        expect(ids(await repository.scan({ states: ['queued'], updatedBefore: 9_000, expiresBefore: 5_001, limit: 10 }))).toEqual([old.id]);
        expect(await repository.scan({ states: ['pending'], updatedBefore: 9_000, limit: 10 })).toEqual([]);
      });

      test('finds what nobody works on any more', async () => {
        const free = await inserted();
        const taken = await leased(await inserted());
        expect(ids(await repository.scan({ leaseEndedBefore: 5_000, limit: 10 }))).toEqual([free.id]);
        expect(ids(await repository.scan({ leaseEndedBefore: 5_001, limit: 10 }))).toEqual([free.id, taken.id]);
        await repository.renewLease(taken.id, LEASE.token, 9_000);
        expect(await repository.scan({ states: ['relaying'], leaseEndedBefore: 5_001, limit: 10 })).toEqual([]);
      });
    });

    test('answers a ping', async () => {
      await expect(repository.ping()).resolves.toBeUndefined();
    });

    test('says so when the database is away', async () => {
      const upload = await inserted();
      const closed = repository;
      repository = await opened.reopen();
      const away = { code: 'repository_unavailable', status: 503 };
      await expect(closed.ping()).rejects.toMatchObject(away);
      await expect(closed.find(upload.id)).rejects.toMatchObject(away);
      await expect(closed.insert(uploadRecord())).rejects.toMatchObject(away);
      expect(await repository.find(upload.id)).toEqual(upload);
    });
  });
}
