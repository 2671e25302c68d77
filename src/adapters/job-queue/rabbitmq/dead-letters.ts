import { setTimeout as pause } from 'node:timers/promises';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { DeadJob } from '../../../ports/job-queue.ts';
import { closeChannel, onChannel, type RabbitConnection } from '../../rabbitmq/connection.ts';
import { replyCodeOf } from '../../rabbitmq/topology.ts';
import { ANSWER_MS, asked, unavailable } from '../../rabbitmq/unavailable.ts';
import { deadJob, diedAtOf } from './job-message.ts';
import type { JobNames } from './job-topology.ts';

/** Dead jobs that are looked at; those behind them have to wait until there are fewer. Also all that a prefetch can say. */
const MAX_READ = 50_000;
const READ_MS = 10_000;
const LOCK_PAUSE_MS = 25;
/** After which the broker takes a forgotten lock away. */
const LOCK_EXPIRES_MS = 60_000;
const RESOURCE_LOCKED = 405;

/**
 * Reads a queue without taking anything out: all messages are received, none is acknowledged, and closing the channel
 * puts them back. It has to be all of them, because the broker puts back a part behind the rest; and by one reader at a
 * time, because what one has received another does not see.
 */
export class DeadLetters {
  readonly #connection: RabbitConnection;
  readonly #names: JobNames;
  /** Ends when nobody in this process reads any more. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Uploads whose jobs the next reading removes. */
  #leaving = new Set<string>();
  #removal: Promise<void> | null = null;

  constructor(connection: RabbitConnection, names: JobNames) {
    this.#connection = connection;
    this.#names = names;
  }

  /** Oldest first. */
  list(limit: number): Promise<DeadJob[]> {
    return this.#inTurn(async () => {
      const messages = await this.#read(() => false);
      // The sort is stable: what died in the same millisecond stays in the order of the queue.
      const oldest = messages.map((message) => ({ message, diedAt: diedAtOf(message) })).sort((a, b) => a.diedAt - b.diedAt);
      return oldest.slice(0, limit).map(({ message }) => deadJob(message));
    });
  }

  /** Calls that come while the queue is being read share the next reading. */
  remove(uploadId: string): Promise<void> {
    this.#leaving.add(uploadId);
    this.#removal ??= this.#inTurn(async () => {
      const leaving = this.#leaving;
      this.#leaving = new Set();
      this.#removal = null;
      await this.#read((message) => leaving.has(deadJob(message).job.uploadId));
    });
    return this.#removal;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** All messages; those for which `isLeaving` holds are taken out. */
  async #read(isLeaving: (message: ConsumeMessage) => boolean): Promise<ConsumeMessage[]> {
    if (await this.#isEmpty()) return [];
    return this.#locked(() =>
      onChannel(
        this.#connection,
        'show its dead jobs',
        async (channel) => {
          const messages = await receiveAll(channel, this.#names.dead);
          for (const message of messages) if (isLeaving(message)) channel.ack(message);
          return messages;
        },
        READ_MS,
      ),
    );
  }

  /** Nearly always it is, and then there is no need of a lock. While somebody reads it looks empty, but has a consumer. */
  #isEmpty(): Promise<boolean> {
    return onChannel(this.#connection, 'count its dead jobs', async (channel) => {
      const { messageCount, consumerCount } = await channel.checkQueue(this.#names.dead);
      return messageCount === 0 && consumerCount === 0;
    });
  }

  /** An exclusive queue belongs to the connection that made it first, and goes away with it: a lock for all processes. */
  async #locked<T>(work: () => Promise<T>): Promise<T> {
    const channel = await this.#lock();
    try {
      return await work();
    } finally {
      await asked('release a lock', () => channel.deleteQueue(this.#names.deadLock)).catch(() => undefined);
      await closeChannel(channel);
    }
  }

  async #lock(): Promise<Channel> {
    const deadline = performance.now() + ANSWER_MS;
    const options = { exclusive: true, durable: false, arguments: { 'x-expires': LOCK_EXPIRES_MS } };
    while (performance.now() < deadline) {
      const channel = await this.#connection.channel();
      try {
        await asked('lock its dead jobs', () => channel.assertQueue(this.#names.deadLock, options));
        return channel;
      } catch (error) {
        await closeChannel(channel);
        if (replyCodeOf(error) !== RESOURCE_LOCKED) throw error;
      }
      await pause(LOCK_PAUSE_MS);
    }
    throw unavailable('Another process is reading the dead jobs.');
  }
}

async function receiveAll(channel: Channel, queue: string): Promise<ConsumeMessage[]> {
  const { messageCount } = await channel.checkQueue(queue);
  const wanted = Math.min(messageCount, MAX_READ);
  if (wanted === 0) return [];
  await channel.prefetch(wanted);
  const messages: ConsumeMessage[] = [];
  const { promise: complete, resolve, reject } = Promise.withResolvers<void>();
  await channel.consume(queue, (message) => {
    if (!message) return reject(unavailable('The queue of the dead jobs was deleted.'));
    messages.push(message);
    if (messages.length === wanted) resolve();
  });
  await complete;
  return messages;
}
