import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { EmbeddedJobQueue } from '../../src/adapters/job-queue/embedded/queue.ts';
import type { Database } from '../../src/adapters/sqlite/database.ts';
import type { Job } from '../../src/ports/job-queue.ts';
import { eventually } from '../support/eventually.ts';
import { HeldDeliveries } from '../support/held-deliveries.ts';
import { killAfter } from '../support/killed-process.ts';
import { openSqliteFile, type SqliteFile } from '../support/sqlite-file.ts';
import { describeJobQueue } from './job-queue.ts';

const queueOn = (database: Database, { clock = Date.now, leaseMs = 30_000 } = {}): EmbeddedJobQueue =>
  new EmbeddedJobQueue({ database, clock, leaseMs, newId: () => v7() });

describeJobQueue('SQLite', async () => {
  const sqlite = await openSqliteFile();
  const queues = [queueOn(sqlite.database)];
  const track = (queue: EmbeddedJobQueue): EmbeddedJobQueue => {
    queues.push(queue);
    return queue;
  };
  return {
    queue: queues[0] as EmbeddedJobQueue,
    another: async () => track(queueOn(await sqlite.another())),
    reopen: async () => {
      await queues[0]?.close();
      return track(queueOn(await sqlite.reopen()));
    },
    async close() {
      await Promise.all(queues.map((queue) => queue.close()));
      await sqlite.close();
    },
  };
});

describe('the embedded job queue', () => {
  let sqlite: SqliteFile;
  let queues: EmbeddedJobQueue[];
  beforeEach(async () => {
    sqlite = await openSqliteFile();
    queues = [];
  });
  afterEach(async () => {
    await Promise.all(queues.map((queue) => queue.close()));
    await sqlite.close();
  });
  const open = (database: Database, options: Parameters<typeof queueOn>[1] = {}): EmbeddedJobQueue => {
    const queue = queueOn(database, options);
    queues.push(queue);
    return queue;
  };
  const job: Job = { id: v7(), kind: 'relay', uploadId: v7(), trace: { requestId: 'request-1', traceparent: null } };

  test('holds a job once, however often it is published while it lives or lies dead', async () => {
    const queue = open(sqlite.database);
    await Promise.all([queue.publish(job), queue.publish(job), queue.publish(job)]);
    const held = new HeldDeliveries();
    await queue.consume(held.handler, 3);
    const delivery = await held.next();
    await queue.publish(job);
    expect(await queue.depth()).toEqual({ ready: 0, delayed: 0, leased: 1, dead: 0 });
    delivery.settle({ outcome: 'dead', reason: 'no bytes' });
    await eventually(async () => expect(await queue.deadLetters(10)).toHaveLength(1));
    await queue.publish(job);
    expect(await queue.depth()).toEqual({ ready: 0, delayed: 0, leased: 0, dead: 1 });
  });

  test('renews the lease for as long as the handler runs', async () => {
    const clock = { now: 1_000 };
    const here = open(sqlite.database, { clock: () => clock.now, leaseMs: 90 });
    const later = open(await sqlite.another(), { clock: () => 1_150 });
    const held = new HeldDeliveries();
    await here.consume(held.handler, 1);
    await here.publish(job);
    const delivery = await held.next();
    clock.now = 1_080;
    await eventually(async () => expect(await later.depth()).toMatchObject({ leased: 1, ready: 0 }));
    expect(delivery.signal.aborted).toBe(false);
  });

  /** A job that `here` has, and that somebody whose clock is past the lease has taken over. */
  const takenOver = async (leaseMs: number) => {
    const here = open(sqlite.database, { clock: () => 1_000, leaseMs });
    const elsewhere = open(await sqlite.another(), { clock: () => 100_000 });
    const [slow, fast] = [new HeldDeliveries(), new HeldDeliveries()];
    const consumer = await here.consume(slow.handler, 1);
    await here.publish(job);
    const lost = await slow.next();
    const aborted = once(lost.signal, 'abort');
    await elsewhere.consume(fast.handler, 1);
    const taken = await fast.next();
    expect(taken).toMatchObject({ job, deliveries: 1 });
    return { consumer, lost, aborted, taken, elsewhere };
  };

  test('tells a handler whose lease has ended that somebody else has the job', async () => {
    const { lost, aborted } = await takenOver(90);
    await aborted;
    expect(lost.signal.reason.message).toContain(job.id);
  });

  test.each([{ outcome: 'done' }, { outcome: 'retry', delayMs: 0 }, { outcome: 'dead', reason: 'no bytes' }] as const)(
    'takes no $outcome from a handler whose lease has ended, even if it does not know yet',
    async (settlement) => {
      const { consumer, lost, taken, elsewhere } = await takenOver(30_000);
      lost.settle(settlement);
      await consumer.stop(10_000);
      expect(await elsewhere.depth()).toEqual({ ready: 0, delayed: 0, leased: 1, dead: 0 });
      taken.settle({ outcome: 'dead', reason: 'still mine' });
      await eventually(async () => expect(await elsewhere.deadLetters(10)).toMatchObject([{ job, reason: 'still mine' }]));
    },
  );

  test('says so when the database is away', async () => {
    const queue = open(sqlite.database);
    await sqlite.reopen();
    await expect(queue.publish(job)).rejects.toMatchObject({ code: 'queue_unavailable', status: 503 });
    await expect(queue.depth()).rejects.toMatchObject({ code: 'queue_unavailable' });
  });

  test('has every job whose publication was acknowledged before a kill -9', async () => {
    const acknowledged = await killAfter(300, new URL('./job-queue-publisher.ts', import.meta.url), [sqlite.file]);
    const queue = open(await sqlite.reopen());
    const seen = new Set<string>();
    await queue.consume(async (delivery) => {
      seen.add(delivery.job.id);
      return { outcome: 'done' };
    }, 16);
    await eventually(async () => expect(await queue.depth()).toMatchObject({ ready: 0, leased: 0 }));
    expect(acknowledged.filter((id) => !seen.has(id))).toEqual([]);
  });

  test('gives the job of a killed process to another one when the lease ends', async () => {
    await open(sqlite.database).publish(job);
    const [id] = await killAfter(1, new URL('./job-queue-worker.ts', import.meta.url), [sqlite.file]);
    expect(id).toBe(job.id);
    const held = new HeldDeliveries();
    await open(sqlite.database).consume(held.handler, 1);
    expect(await held.next()).toMatchObject({ job, deliveries: 1 });
  });
});
