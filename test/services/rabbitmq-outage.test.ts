import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { StartedTestContainer } from 'testcontainers';
import { RabbitJobQueue } from '../../src/adapters/job-queue/rabbitmq/queue.ts';
import { openRabbit, type Rabbit } from '../../src/adapters/rabbitmq/rabbit.ts';
import type { Delivery, JobQueue, Settlement } from '../../src/ports/job-queue.ts';
import { eventually } from '../support/eventually.ts';
import { HeldDeliveries } from '../support/held-deliveries.ts';
import { jobOf, newPrefix, silent } from '../support/rabbit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { startRabbit } from './servers.ts';
import { withServers } from './with-servers.ts';

const AWAY = { code: 'queue_unavailable', status: 503 };
const RECOVERY_MS = 40_000;

withServers(() => {
  /** A broker of its own, which can be stopped, behind a proxy, which can cut and hold. */
  describe('the job queue when RabbitMQ or the way to it fails', () => {
    let container: StartedTestContainer;
    let proxy: TcpProxy;
    let rabbit: Rabbit;
    let queue: RabbitJobQueue;
    let prefix: string;
    let states: boolean[];
    beforeAll(async () => {
      const started = await startRabbit();
      container = started.container;
      proxy = await TcpProxy.open(started.url);
    });
    afterAll(async () => {
      await proxy?.close();
      await container?.stop({ timeout: 1 });
    });
    beforeEach(async () => {
      prefix = newPrefix();
      states = [];
      rabbit = await openRabbit({ url: proxy.url, log: silent, onState: (up) => states.push(up) });
      queue = await RabbitJobQueue.open({ rabbit, log: silent, clock: Date.now, prefix });
    });
    afterEach(async () => {
      proxy.mend();
      await queue.close();
      await rabbit.close();
    });

    const hold = async (from: JobQueue = queue): Promise<HeldDeliveries> => {
      const held = new HeldDeliveries();
      await from.consume(held.handler, 1);
      return held;
    };
    const command = async (...words: string[]): Promise<void> => {
      const { exitCode, output } = await container.exec(words);
      if (exitCode !== 0) throw new Error(output);
    };
    /** Publishes jobs as fast as they are confirmed, `lanes` at a time, until it is stopped. */
    const publishing = (lanes: number) => {
      const confirmed: string[] = [];
      let refused = 0;
      let stopped = false;
      const lane = async (): Promise<void> => {
        while (!stopped) {
          const job = jobOf();
          try {
            await queue.publish(job);
            confirmed.push(job.id);
          } catch (error) {
            expect(error).toMatchObject(AWAY);
            refused += 1;
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
        }
      };
      const running = Promise.all(Array.from({ length: lanes }, lane));
      return {
        confirmed,
        refused: () => refused,
        stop: async () => {
          stopped = true;
          await running;
        },
      };
    };
    const collect =
      (seen: Set<string>) =>
      async ({ job }: Delivery): Promise<Settlement> => {
        seen.add(job.id);
        return { outcome: 'done' };
      };
    const growsBy = async (list: unknown[], count: number): Promise<void> => {
      const before = list.length;
      await eventually(() => expect(list.length).toBeGreaterThan(before + count), RECOVERY_MS);
    };

    test('every confirmed job is delivered although the connections break again and again', async () => {
      const seen = new Set<string>();
      await queue.consume(collect(seen), 4);
      const { confirmed, stop } = publishing(8);
      for (let round = 0; round < 5; round += 1) {
        await growsBy(confirmed, 20);
        proxy.cut();
      }
      await growsBy(confirmed, 20);
      await stop();
      await eventually(() => expect(confirmed.filter((id) => !seen.has(id))).toEqual([]), RECOVERY_MS);
      expect(await queue.deadLetters(10)).toEqual([]);
      expect(states).toContain(false);
    });

    test('a job in hand is lost with its connection, and comes again; what its first holder says changes nothing', async () => {
      const job = jobOf();
      await queue.publish(job);
      const held = await hold();
      const lost = await held.next();
      const aborted = once(lost.signal, 'abort');
      proxy.cut();
      await aborted;
      lost.settle({ outcome: 'dead', reason: 'too late' });
      const again = await held.next();
      expect(again).toMatchObject({ job, deliveries: 1 });
      again.settle({ outcome: 'done' });
      await eventually(async () => expect(await queue.depth()).toMatchObject({ ready: 0, delayed: 0, dead: 0 }));
    });

    test('while the broker cannot be reached everything is refused, and afterwards works as before', async () => {
      const held = await hold();
      proxy.sever();
      await eventually(() => expect(states.at(-1)).toBe(false));
      await expect(queue.publish(jobOf())).rejects.toMatchObject(AWAY);
      await expect(queue.depth()).rejects.toMatchObject(AWAY);
      await expect(queue.deadLetters(1)).rejects.toMatchObject(AWAY);
      await expect(queue.removeDead('any')).rejects.toMatchObject(AWAY);
      await expect(queue.consume(async () => ({ outcome: 'done' }), 1)).rejects.toMatchObject(AWAY);
      await expect(openRabbit({ url: proxy.url, log: silent })).rejects.toMatchObject(AWAY);
      proxy.mend();
      const job = jobOf();
      await eventually(() => queue.publish(job));
      expect((await held.next()).job).toEqual(job);
      expect(states).toEqual([true, false, true]);
    });

    test('a broker that says nothing leaves nobody waiting, not even who says goodbye', async () => {
      const held = await hold();
      await queue.publish(jobOf());
      const delivery = await held.next();
      proxy.hold();
      await expect(queue.publish(jobOf())).rejects.toMatchObject(AWAY);
      await expect(queue.depth()).rejects.toMatchObject(AWAY);
      await queue.close();
      expect(delivery.signal.aborted).toBe(true);
      await rabbit.close();
    });

    test('every confirmed job outlives a broker that is killed, and its consumer works on', async () => {
      const seen = new Set<string>();
      await queue.consume(collect(seen), 4);
      const retried = jobOf();
      await queue.publish(retried, 2_000);
      const { confirmed, refused, stop } = publishing(8);
      await growsBy(confirmed, 50);
      // Without time to stop it is killed.
      await container.restart({ timeout: 0 });
      proxy.forwardTo(`amqp://localhost:${container.getMappedPort(5672)}`);
      await growsBy(confirmed, 50);
      await stop();
      expect(refused()).toBeGreaterThan(0);
      await eventually(() => expect([...confirmed, retried.id].filter((id) => !seen.has(id))).toEqual([]), RECOVERY_MS);
    }, 120_000);

    describe('a broker that is short of memory', () => {
      const alarm = (on: boolean): Promise<void> => command('rabbitmqctl', 'set_vm_memory_high_watermark', on ? '0.00001' : '0.6');
      afterEach(() => alarm(false));

      test('takes no jobs, which is said, but lets those in hand be finished; a retry waits for its end', async () => {
        const [done, retried] = [jobOf(), jobOf()];
        await queue.publish(done);
        await queue.publish(retried);
        const held = await hold();
        const first = await held.next();
        await alarm(true);
        await expect(queue.publish(jobOf())).rejects.toMatchObject(AWAY);
        await eventually(() => expect(states.at(-1)).toBe(false));
        await expect(queue.publish(jobOf())).rejects.toThrow('takes no messages at present');
        first.settle({ outcome: 'done' });
        (await held.next()).settle({ outcome: 'retry', delayMs: 100 });
        await alarm(false);
        await eventually(() => expect(states.at(-1)).toBe(true));
        let again = await held.next();
        // What was refused may arrive all the same: it was on its way when the alarm was raised.
        for (; again.job.id !== retried.id; again = await held.next()) again.settle({ outcome: 'done' });
        expect(again).toMatchObject({ job: retried, deliveries: 1 });
      });
    });
  });

  describe('opening RabbitMQ', () => {
    test('fails at once where there is none, and says where that is but not who asked', async () => {
      const proxy = await TcpProxy.open('amqp://windlass:windlass-secret@localhost:1');
      const url = new URL(proxy.url);
      await proxy.close();
      const opening = openRabbit({ url: url.href, log: silent });
      await expect(opening).rejects.toMatchObject(AWAY);
      await expect(opening).rejects.toThrow(`RabbitMQ at ${url.host} cannot be reached: `);
      await expect(opening).rejects.not.toThrow('windlass-secret');
    });

    test('fails for a wrong password, and shows none', async () => {
      const { rabbitmqUrl } = JSON.parse(process.env.WINDLASS_TEST_SERVERS ?? '{}');
      const url = new URL(rabbitmqUrl);
      url.password = 'not-the-password';
      const opening = openRabbit({ url: url.href, log: silent });
      await expect(opening).rejects.toMatchObject({ ...AWAY, detail: expect.stringContaining('ACCESS_REFUSED') });
      await expect(opening).rejects.not.toThrow('not-the-password');
    });

    test.each(['not an address: secret', 'http://secret@localhost'])('fails for what is no address of a broker', async (url) => {
      await expect(openRabbit({ url, log: silent })).rejects.toMatchObject(AWAY);
      await expect(openRabbit({ url, log: silent })).rejects.not.toThrow('secret');
    });
  });
});
