import type { Logger } from 'pino';
import type { Consumer, DeadJob, Delivery, Job, JobQueue, QueueDepth, Settlement, TriedQueue } from '../../../ports/job-queue.ts';
import type { Provisioned, ProvisionStep } from '../../../ports/provision.ts';
import { onChannel } from '../../rabbitmq/connection.ts';
import { ConfirmingPublisher } from '../../rabbitmq/publisher.ts';
import type { Rabbit } from '../../rabbitmq/rabbit.ts';
import { declare, provisionTopology, type Topology } from '../../rabbitmq/topology.ts';
import { unavailable } from '../../rabbitmq/unavailable.ts';
import { RabbitConsumer } from './consumer.ts';
import { DeadLetters } from './dead-letters.ts';
import { type JobMessage, jobMessage } from './job-message.ts';
import { type JobNames, jobNames, jobTopology } from './job-topology.ts';
import { RUNGS, rungFor } from './ladder.ts';

const DAY_MS = 86_400_000;
/** The last resort: the record of an upload counts the workers lost with it too, and has a lower limit. */
const DELIVERY_LIMIT = 100;

export interface RabbitJobQueueOptions {
  /** Stays open when the queue is closed. */
  rabbit: Rabbit;
  log: Logger;
  /** Epoch ms. */
  clock: () => number;
  /** What the names of exchanges and queues begin with. */
  prefix?: string;
  /**
   * How long a worker may have a job before the broker takes it away (milliseconds): longer than any relay. Like
   * `deliveryLimit` it cannot be changed for a queue that exists, other than by a policy of the broker.
   */
  consumerTimeoutMs?: number;
  /** How often a job is handed out to workers that are lost with it before it is given up. */
  deliveryLimit?: number;
}

/** The job queue in RabbitMQ (4.0 or later): quorum queues, every message confirmed before anything is taken for done. */
export class RabbitJobQueue implements JobQueue, Provisioned, TriedQueue {
  readonly #options: Required<RabbitJobQueueOptions>;
  readonly #names: JobNames;
  readonly #topology: Topology;
  readonly #publisher: ConfirmingPublisher;
  readonly #deadLetters: DeadLetters;
  readonly #consumers = new Set<RabbitConsumer>();
  #closed = false;

  constructor(options: RabbitJobQueueOptions) {
    this.#options = { prefix: 'windlass', consumerTimeoutMs: DAY_MS, deliveryLimit: DELIVERY_LIMIT, ...options };
    const { rabbit, prefix } = this.#options;
    this.#names = jobNames(prefix);
    this.#topology = jobTopology(this.#names, this.#options);
    this.#publisher = new ConfirmingPublisher(rabbit.publishing, () => declare(rabbit.consuming, this.#topology));
    this.#deadLetters = new DeadLetters(rabbit.consuming, this.#names);
  }

  /** With its queues made. Throws `queue_unavailable`, also when queues of that name are there but were made otherwise. */
  static async open(options: RabbitJobQueueOptions): Promise<RabbitJobQueue> {
    const queue = new RabbitJobQueue(options);
    await queue.#publisher.ready();
    return queue;
  }

  provision(): Promise<ProvisionStep[]> {
    return provisionTopology(this.#options.rabbit.consuming, this.#topology);
  }

  async publish(job: Job, delayMs = 0): Promise<void> {
    this.#assertOpen();
    const rung = rungFor(delayMs);
    await this.#send(rung === null ? this.#names.work : this.#names.delay(rung), jobMessage(job, 0, this.#options.clock()));
  }

  async consume(handler: (delivery: Delivery) => Promise<Settlement>, concurrency: number): Promise<Consumer> {
    this.#assertOpen();
    const { rabbit, log, clock } = this.#options;
    const consumer = new RabbitConsumer({
      connection: rabbit.consuming,
      names: this.#names,
      patient: rabbit.patient,
      log,
      clock,
      declare: () => declare(rabbit.consuming, this.#topology),
      send: (queue, message) => this.#send(queue, message),
      handler,
      concurrency,
    });
    await consumer.start();
    this.#consumers.add(consumer);
    return {
      stop: async (graceMs) => {
        await consumer.stop(graceMs);
        this.#consumers.delete(consumer);
      },
    };
  }

  /** The broker tells the jobs in work only through its management interface. */
  depth(): Promise<QueueDepth> {
    return onChannel(this.#options.rabbit.consuming, 'count its jobs', async (channel) => {
      const count = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount;
      const [ready, dead, ...delayed] = await Promise.all(
        [this.#names.work, this.#names.dead, ...RUNGS.map((rung) => this.#names.delay(rung))].map(count),
      );
      return { ready: ready ?? 0, delayed: delayed.reduce((sum, one) => sum + one, 0), leased: null, dead: dead ?? 0 };
    });
  }

  /** Reads the whole queue of the dead, however small the limit: for people and tests. */
  deadLetters(limit: number): Promise<DeadJob[]> {
    return this.#deadLetters.list(limit);
  }

  removeDead(uploadId: string): Promise<void> {
    return this.#deadLetters.remove(uploadId);
  }

  /** Through the exchange of the jobs, to a queue of this connection alone. */
  async tryRoundTrip(): Promise<void> {
    this.#assertOpen();
    await onChannel(this.#options.rabbit.consuming, 'deliver a message', async (channel) => {
      const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true, durable: false });
      await channel.bindQueue(queue, this.#names.exchange, queue);
      await this.#send(queue, { content: Buffer.from('windlass doctor'), properties: {} });
      const delivered = await channel.get(queue, { noAck: true });
      await channel.deleteQueue(queue);
      if (!delivered) throw unavailable('The message broker confirmed a message and did not deliver it.');
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop(0)));
    this.#consumers.clear();
    this.#publisher.close();
  }

  #send(queue: string, { content, properties }: JobMessage): Promise<void> {
    return this.#publisher.publish({ exchange: this.#names.exchange, routingKey: queue, content, mandatory: true, properties });
  }

  #assertOpen(): void {
    if (this.#closed) throw unavailable('The queue is closed.');
  }
}
