import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import type { Consumer, Delivery, Job, JobQueue, QueueDepth, Settlement } from '../../src/ports/job-queue.ts';
import { eventually } from '../support/eventually.ts';
import { HeldDeliveries } from '../support/held-deliveries.ts';

export interface OpenedJobQueue {
  /** Empty. */
  queue: JobQueue;
  /** The same queue as another process has it, at the same time. */
  another(): Promise<JobQueue>;
  /** The same queue through a new connection; the old one is closed. */
  reopen(): Promise<JobQueue>;
  close(): Promise<void>;
}

const jobOf = (fields: Partial<Job> = {}): Job => ({
  id: v7(),
  kind: 'relay',
  uploadId: v7(),
  trace: { requestId: 'request-1', traceparent: null },
  ...fields,
});
const EMPTY: QueueDepth = { ready: 0, delayed: 0, leased: 0, dead: 0 };
const DONE: Settlement = { outcome: 'done' };
/** Longer than any test runs. */
const LONG_MS = 60_000;

/** What every JobQueue does. A broker counts with some delay, so depths are looked at until they are right. */
export function describeJobQueue(name: string, open: () => Promise<OpenedJobQueue>): void {
  describe(`job queue contract: ${name}`, () => {
    let opened: OpenedJobQueue;
    let queue: JobQueue;
    let consumers: Consumer[];
    beforeEach(async () => {
      consumers = [];
      opened = await open();
      queue = opened.queue;
    });
    afterEach(async () => {
      await Promise.all(consumers.map((consumer) => consumer.stop(0)));
      await opened.close();
    });

    const consume = async (handler: (delivery: Delivery) => Promise<Settlement>, concurrency = 1, from = queue): Promise<Consumer> => {
      const consumer = await from.consume(handler, concurrency);
      consumers.push(consumer);
      return consumer;
    };
    /** A consumer whose deliveries wait until the test settles them. */
    const hold = async (concurrency = 1, from = queue): Promise<{ held: HeldDeliveries; consumer: Consumer }> => {
      const held = new HeldDeliveries();
      return { held, consumer: await consume(held.handler, concurrency, from) };
    };
    const depthBecomes = (expected: Partial<QueueDepth>): Promise<void> =>
      eventually(async () => expect(await queue.depth()).toEqual({ ...EMPTY, ...expected }));

    describe('a job', () => {
      test('arrives as it was published, members of later versions included', async () => {
        const job = {
          ...jobOf({ kind: 'complete', trace: { requestId: `'"%_\\ 🐈‍⬛ \n`, traceparent: '00-abc' } }),
          colour: { of: 'tomorrow' },
        };
        const { held } = await hold();
        await queue.publish(job);
        const delivery = await held.next();
        expect(delivery.job).toEqual(job);
        expect(delivery.deliveries).toBe(0);
        expect(delivery.signal.aborted).toBe(false);
      });

      test('waits for a consumer, also through closing and opening again', async () => {
        const job = jobOf();
        await queue.publish(job);
        await depthBecomes({ ready: 1 });
        queue = await opened.reopen();
        const { held } = await hold();
        expect((await held.next()).job).toEqual(job);
      });

      test('that is done is gone', async () => {
        await queue.publish(jobOf());
        await consume(async () => DONE);
        await depthBecomes({});
      });

      test('published in another process reaches a consumer that waits', async () => {
        const { held } = await hold();
        const job = jobOf();
        await (await opened.another()).publish(job);
        expect((await held.next()).job).toEqual(job);
      });

      test('published twice under one id is the same job', async () => {
        const [job, end] = [jobOf(), jobOf()];
        await queue.publish(job);
        await queue.publish(job);
        await queue.publish(end);
        const seen: Job[] = [];
        await consume(async (delivery) => {
          seen.push(delivery.job);
          return DONE;
        });
        await depthBecomes({});
        expect(seen).toContainEqual(end);
        for (const each of seen) expect([job, end]).toContainEqual(each);
      });

      test('published with a delay comes after those without, the shortest delay first', async () => {
        const [late, early, now] = [jobOf(), jobOf(), jobOf()];
        const { held } = await hold(3);
        await queue.publish(late, 2_500);
        await queue.publish(early, 100);
        await queue.publish(now);
        for (const expected of [now, early, late]) expect((await held.next()).job).toEqual(expected);
      });
    });

    describe('a retry', () => {
      test('brings the job back and counts', async () => {
        const job = jobOf();
        const { held } = await hold();
        await queue.publish(job);
        for (let deliveries = 0; deliveries < 3; deliveries += 1) {
          const delivery = await held.next();
          expect(delivery).toMatchObject({ job, deliveries });
          delivery.settle({ outcome: 'retry', delayMs: 10 });
        }
      });

      test('with a delay keeps nobody else waiting', async () => {
        const [delayed, other] = [jobOf(), jobOf()];
        const { held } = await hold();
        await queue.publish(delayed);
        (await held.next()).settle({ outcome: 'retry', delayMs: LONG_MS });
        await depthBecomes({ delayed: 1 });
        await queue.publish(other);
        expect((await held.next()).job).toEqual(other);
      });

      test('follows a handler that throws, at once or later', async () => {
        const job = jobOf();
        const seen: number[] = [];
        await consume((delivery) => {
          seen.push(delivery.deliveries);
          if (delivery.deliveries === 0) throw new Error('at once');
          if (delivery.deliveries === 1) return Promise.reject(new Error('later'));
          return Promise.resolve(DONE);
        });
        await queue.publish(job);
        await eventually(() => expect(seen).toEqual([0, 1, 2]));
        await depthBecomes({});
      });
    });

    describe('a dead job', () => {
      const die = async (job: Job, reason: string): Promise<void> => {
        const { held, consumer } = await hold();
        await queue.publish(job);
        (await held.next()).settle({ outcome: 'dead', reason });
        await consumer.stop(LONG_MS);
      };

      test('is kept with its reason, oldest first, and not delivered again', async () => {
        const [first, second] = [jobOf(), jobOf()];
        await die(first, `no such bytes: '"%🐈‍⬛`);
        await die(second, 'second');
        const dead = await eventually(async () => {
          const found = await queue.deadLetters(10);
          expect(found).toHaveLength(2);
          return found;
        });
        expect(dead).toMatchObject([
          { job: first, reason: `no such bytes: '"%🐈‍⬛` },
          { job: second, reason: 'second' },
        ]);
        for (const { diedAt } of dead) expect(diedAt).toBeLessThanOrEqual(Date.now());
        expect(await queue.deadLetters(1)).toHaveLength(1);
        await depthBecomes({ dead: 2 });
        const other = jobOf();
        const { held } = await hold(3);
        await queue.publish(other);
        expect((await held.next()).job).toEqual(other);
      });

      test('is there after opening again', async () => {
        const job = jobOf();
        await die(job, 'bytes missing');
        queue = await opened.reopen();
        await eventually(async () => expect(await queue.deadLetters(10)).toMatchObject([{ job, reason: 'bytes missing' }]));
      });

      test('is forgotten by its upload, and no other job of that upload with it', async () => {
        const [dead, other] = [jobOf(), jobOf()];
        await die(dead, 'first');
        await die(other, 'second');
        const again = jobOf({ uploadId: dead.uploadId });
        await queue.publish(again);
        await queue.removeDead(dead.uploadId);
        await queue.removeDead(dead.uploadId);
        await queue.removeDead(v7());
        await eventually(async () => expect(await queue.deadLetters(10)).toMatchObject([{ job: other }]));
        const { held } = await hold();
        expect((await held.next()).job).toEqual(again);
      });
    });

    describe('consumers', () => {
      test('get no more jobs at once than they asked for, and all in the end', async () => {
        const jobs = Array.from({ length: 12 }, () => jobOf());
        for (const job of jobs) await queue.publish(job);
        const { held } = await hold(3);
        const seen = new Set<string>();
        while (seen.size < jobs.length) {
          const delivery = await held.next();
          expect(held.open).toBeLessThanOrEqual(3);
          seen.add(delivery.job.id);
          delivery.settle(DONE);
        }
        expect(seen).toEqual(new Set(jobs.map(({ id }) => id)));
        expect(held.most).toBeLessThanOrEqual(3);
      });

      test('in two processes share the work', async () => {
        const here = await hold(1);
        const there = await hold(1, await opened.another());
        const jobs = Array.from({ length: 2 }, () => jobOf());
        for (const job of jobs) await queue.publish(job);
        const [one, other] = await Promise.all([here.held.next(), there.held.next()]);
        expect(new Set([one.job.id, other.job.id])).toEqual(new Set(jobs.map(({ id }) => id)));
        one.settle(DONE);
        other.settle(DONE);
        await depthBecomes({});
      });

      test('are counted', async () => {
        const { held } = await hold();
        await queue.publish(jobOf());
        await held.next();
        await queue.publish(jobOf());
        await queue.publish(jobOf());
        await queue.publish(jobOf(), LONG_MS);
        await depthBecomes({ ready: 2, leased: 1, delayed: 1 });
      });
    });

    describe('stopping', () => {
      test('takes nothing new, leaves what was not begun to others at once, and waits for what was', async () => {
        const [begun, waiting] = [jobOf(), jobOf()];
        const { held, consumer } = await hold();
        await queue.publish(begun);
        const delivery = await held.next();
        await queue.publish(waiting);
        let stopped = false;
        const stopping = consumer.stop(LONG_MS).then(() => {
          stopped = true;
        });
        const other = await hold(1, await opened.another());
        const taken = await other.held.next();
        expect(taken).toMatchObject({ job: waiting });
        expect(stopped).toBe(false);
        expect(delivery.signal.aborted).toBe(false);
        delivery.settle(DONE);
        await stopping;
        taken.settle(DONE);
        await depthBecomes({});
        expect(held.most).toBe(1);
      });

      test('does not wait for ever: what is not settled in time comes again, and its late settlement changes nothing', async () => {
        const job = jobOf();
        const { held, consumer } = await hold();
        await queue.publish(job);
        const abandoned = await held.next();
        await consumer.stop(20);
        const other = await hold(1, await opened.another());
        const again = await other.held.next();
        expect(again.job).toEqual(job);
        expect(again.deliveries).toBeGreaterThan(0);
        abandoned.settle(DONE);
        again.settle({ outcome: 'dead', reason: 'still there' });
        await eventually(async () => expect(await queue.deadLetters(10)).toMatchObject([{ job, reason: 'still there' }]));
      });

      test('may be asked for twice, and with nothing to do', async () => {
        const { consumer } = await hold();
        await Promise.all([consumer.stop(LONG_MS), consumer.stop(LONG_MS)]);
        await consumer.stop(LONG_MS);
      });
    });

    test('a closed queue gives its jobs back and takes no more', async () => {
      const job = jobOf();
      const { held } = await hold();
      await queue.publish(job);
      await held.next();
      const other = await hold(1, await opened.another());
      await queue.close();
      expect((await other.held.next()).job).toEqual(job);
      await expect(queue.publish(jobOf())).rejects.toMatchObject({ code: 'queue_unavailable', status: 503 });
      await expect(queue.consume(async () => DONE, 1)).rejects.toMatchObject({ code: 'queue_unavailable' });
    });
  });
}
