import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { RUNGS, rungFor } from '../../src/adapters/job-queue/rabbitmq/ladder.ts';
import type { RabbitJobQueue } from '../../src/adapters/job-queue/rabbitmq/queue.ts';
import type { DeadJob, JobQueue } from '../../src/ports/job-queue.ts';
import { describeJobQueue } from '../contract/job-queue.ts';
import { eventually } from '../support/eventually.ts';
import { HeldDeliveries } from '../support/held-deliveries.ts';
import { jobOf, newPrefix, RabbitRig } from '../support/rabbit.ts';
import { withServers } from './with-servers.ts';

const LONG_MS = 60_000;

withServers(({ rabbitmqUrl: url, rabbitmqManagementUrl: managementUrl }) => {
  const server = { url, managementUrl };

  describeJobQueue('RabbitMQ', async () => {
    const rig = new RabbitRig(server);
    return {
      queue: await rig.openManaged(),
      another: () => rig.openManaged(),
      reopen: async () => {
        await rig.closeConnections();
        return rig.openManaged();
      },
      close: () => rig.close(),
    };
  });

  describe('the job queue in RabbitMQ', () => {
    let rig: RabbitRig;
    let queue: RabbitJobQueue;
    beforeEach(async () => {
      rig = new RabbitRig(server, { deliveryLimit: 2 });
      queue = await rig.open();
    });
    afterEach(() => rig.close());

    const hold = async (concurrency = 1, from: JobQueue = queue) => {
      const held = new HeldDeliveries();
      return { held, consumer: await from.consume(held.handler, concurrency) };
    };
    const named = (name: string): string => `${rig.prefix}.jobs${name}`;
    const countIn = (name: string): Promise<number> => rig.meddle(async (channel) => (await channel.checkQueue(named(name))).messageCount);
    const deadBecome = (expected: object[]): Promise<DeadJob[]> =>
      eventually(async () => {
        const dead = await queue.deadLetters(100);
        expect(dead).toMatchObject(expected);
        expect(dead).toHaveLength(expected.length);
        return dead;
      });

    describe('a message', () => {
      test('is persistent JSON that a stranger can read', async () => {
        const job = jobOf();
        await queue.publish(job);
        const message = await rig.meddle((channel) => channel.get(named(''), { noAck: true }));
        if (!message) throw new Error('no message');
        expect(JSON.parse(message.content.toString())).toEqual(job);
        expect(message.properties).toMatchObject({ contentType: 'application/json', messageId: job.id, type: 'relay', deliveryMode: 2 });
      });

      test.each([
        ['not JSON', 'malformed: not JSON'],
        ['null', 'malformed: the message is not as it must be'],
        ['{"id":"1","kind":"relay","uploadId":7}', 'malformed: uploadId is not as it must be'],
      ])('that is no job (%s) is put away with its reason and keeps nobody waiting', async (text, reason) => {
        await rig.meddle(async (channel) => {
          channel.publish(named(''), named(''), Buffer.from(text), { messageId: 'strange' });
          await channel.waitForConfirms();
        });
        const job = jobOf();
        await queue.publish(job);
        const { held } = await hold();
        expect((await held.next()).job).toEqual(job);
        await deadBecome([{ reason, job: { id: 'strange' } }]);
        const kept = await rig.meddle((channel) => channel.get(named('.dead')));
        expect(kept && `${kept.content}`).toBe(text);
      });

      test('of a kind that only a later version knows is left to the worker', async () => {
        const job = { ...jobOf(), kind: 'polish' } as unknown as ReturnType<typeof jobOf>;
        await queue.publish(job);
        const { held } = await hold();
        expect((await held.next()).job).toEqual(job);
      });
    });

    describe('the ladder', () => {
      test('has for each delay the queue that is nearest', () => {
        expect([0, 1, 150, 400, 1_500, 25_000, 600_000, 86_400_000].map(rungFor)).toEqual([
          null,
          100,
          100,
          300,
          2_000,
          30_000,
          600_000,
          3_600_000,
        ]);
      });

      test('holds a job where its delay says, published or retried, and brings it back with its count', async () => {
        await queue.publish(jobOf(), 31_000);
        expect(await countIn('.delay.30000')).toBe(1);
        const job = jobOf();
        await queue.publish(job);
        const { held } = await hold();
        (await held.next()).settle({ outcome: 'retry', delayMs: 900_000 });
        await eventually(async () => expect(await countIn('.delay.600000')).toBe(1));
        expect(await queue.depth()).toMatchObject({ delayed: 2, leased: null });
      });

      test('gives a job that shall come at once to the work queue itself', async () => {
        const job = jobOf();
        await queue.publish(job);
        const { held } = await hold();
        (await held.next()).settle({ outcome: 'retry', delayMs: 0 });
        expect(await held.next()).toMatchObject({ job, deliveries: 1 });
      });
    });

    test('a job that its workers are lost with ends among the dead, whole, and with the broker’s reason', async () => {
      const poison = { ...jobOf(), colour: 'green' };
      await queue.publish(poison);
      for (let deliveries = 0; deliveries <= 2; deliveries += 1) {
        const { held, consumer } = await hold();
        expect(await held.next()).toMatchObject({ job: poison, deliveries });
        await consumer.stop(0);
      }
      const [dead] = await deadBecome([{ job: poison, reason: 'delivery_limit' }]);
      expect(Math.abs(Date.now() - (dead?.diedAt ?? 0))).toBeLessThan(LONG_MS);
    });

    describe('the dead jobs', () => {
      const die = async (count: number): Promise<string[]> => {
        const ids = Array.from({ length: count }, () => v7());
        const consumer = await queue.consume(async ({ job }) => ({ outcome: 'dead', reason: `died as ${job.uploadId}` }), 1);
        for (const uploadId of ids) await queue.publish(jobOf({ uploadId }));
        await eventually(async () => expect((await queue.depth()).dead).toBe(count));
        await consumer.stop(LONG_MS);
        return ids;
      };
      const idsOf = (dead: DeadJob[]): string[] => dead.map(({ job }) => job.uploadId);

      test('keep number and order however often and by how many they are read, in part or whole', async () => {
        const ids = await die(12);
        const other = await rig.open();
        for (let round = 0; round < 12; round += 1) {
          const readings = await Promise.all([queue.deadLetters(3), other.deadLetters(5), queue.deadLetters(100)]);
          expect(readings.map(idsOf)).toEqual([ids.slice(0, 3), ids.slice(0, 5), ids]);
        }
        expect(await queue.depth()).toMatchObject({ ready: 0, delayed: 0, dead: 12 });
      });

      test('can be removed by several processes while others read', async () => {
        const ids = await die(12);
        const other = await rig.open();
        const [mine, theirs, kept] = [ids.slice(0, 4), ids.slice(4, 8), ids.slice(8)];
        await Promise.all([
          ...mine.map((id) => queue.removeDead(id)),
          ...theirs.map((id) => other.removeDead(id)),
          other.deadLetters(2),
          queue.deadLetters(2),
        ]);
        await eventually(async () => expect(idsOf(await queue.deadLetters(100))).toEqual(kept));
      });
    });

    describe('what it needs at the broker', () => {
      test('is made by provisioning, which can be repeated', async () => {
        await rig.meddle((channel) => channel.deleteQueue(named('.delay.1000')));
        const outcomes = async () => new Map((await queue.provision()).map(({ subject, outcome }) => [subject, outcome]));
        const first = await outcomes();
        expect(first.size).toBe(RUNGS.length + 3);
        expect([...first].filter(([, outcome]) => outcome !== 'unchanged')).toEqual([[`queue ${named('.delay.1000')}`, 'made']]);
        const both = await Promise.all([outcomes(), outcomes()]);
        for (const again of both) expect(new Set(again.values())).toEqual(new Set(['unchanged']));
      });

      test('is not changed where it was made otherwise: the error names it, and what is different', async () => {
        const odd = new RabbitRig(server);
        await odd.meddle((channel) =>
          channel.assertQueue(`${odd.prefix}.jobs.dead`, { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 5 } }),
        );
        const opening = odd.open();
        await expect(opening).rejects.toMatchObject({ code: 'queue_unavailable' });
        await expect(opening).rejects.toThrow(
          new RegExp(`${odd.prefix}\\.jobs\\.dead exists with other arguments.*x-delivery-limit.*provision`),
        );
        await odd.close();
      });

      test('is made again when it was deleted: the job that finds no queue is not taken for published', async () => {
        await rig.meddle((channel) => channel.deleteQueue(named('')));
        const job = jobOf();
        await expect(queue.publish(job)).rejects.toMatchObject({ code: 'queue_unavailable', status: 503 });
        await queue.publish(job);
        const { held } = await hold();
        expect((await held.next()).job).toEqual(job);
      });

      test('is made again when the exchange was deleted too', async () => {
        await rig.meddle((channel) => channel.deleteExchange(named('')));
        await expect(queue.publish(jobOf())).rejects.toMatchObject({ code: 'queue_unavailable' });
        await eventually(() => queue.publish(jobOf()));
      });

      test('is made again for a retry: the job keeps its place until it is safe', async () => {
        const job = jobOf();
        await queue.publish(job);
        const { held } = await hold();
        const delivery = await held.next();
        await rig.meddle((channel) => channel.deleteQueue(named('.delay.300')));
        delivery.settle({ outcome: 'retry', delayMs: 300 });
        expect(await held.next()).toMatchObject({ job, deliveries: 1 });
      });
    });

    test('a consumer whose queue is deleted loses its job and subscribes again', async () => {
      const { held } = await hold();
      await queue.publish(jobOf());
      const lost = await held.next();
      const aborted = once(lost.signal, 'abort');
      await rig.meddle((channel) => channel.deleteQueue(named('')));
      await aborted;
      expect(lost.signal.reason.message).toContain(lost.job.id);
      lost.settle({ outcome: 'dead', reason: 'too late' });
      const job = jobOf();
      await eventually(() => queue.publish(job));
      expect((await held.next()).job).toEqual(job);
      expect(await queue.deadLetters(10)).toEqual([]);
    });

    test('names of other prefixes are other queues', async () => {
      expect(newPrefix()).not.toBe(rig.prefix);
      const other = new RabbitRig(server);
      const otherQueue = await other.open();
      await queue.publish(jobOf());
      expect(await otherQueue.depth()).toMatchObject({ ready: 0 });
      await other.close();
    });
  });
});
