import { type ConfirmChannel, connect } from 'amqplib';
import { pino } from 'pino';
import { v7 } from 'uuid';
import { RabbitJobQueue, type RabbitJobQueueOptions } from '../../src/adapters/job-queue/rabbitmq/queue.ts';
import { openRabbit, type Rabbit } from '../../src/adapters/rabbitmq/rabbit.ts';
import type { Job, JobQueue, QueueDepth } from '../../src/ports/job-queue.ts';

export const silent = pino({ level: 'silent' });

export const jobOf = (fields: Partial<Job> = {}): Job => ({
  id: v7(),
  kind: 'relay',
  uploadId: v7(),
  trace: { requestId: 'request-1', traceparent: null },
  ...fields,
});

/** Names that no other test has. */
export const newPrefix = (): string => `test-${v7()}`;

export interface RabbitServer {
  url: string;
  managementUrl: string;
}

/** What the management API says; null for what it does not have. */
async function managed<T>({ managementUrl }: RabbitServer, path: string, method = 'GET'): Promise<T | null> {
  const { origin, username, password } = new URL(managementUrl);
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const response = await fetch(`${origin}/api/${path}`, { method, headers: { authorization } });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`the management API answered ${response.status}`);
  return method === 'GET' ? ((await response.json()) as T) : null;
}

const queuePath = (name: string): string => `queues/%2F/${encodeURIComponent(name)}`;

/** Deletes what was declared under a prefix. */
export async function removePrefix(server: RabbitServer, prefix: string): Promise<void> {
  const queues = (await managed<{ name: string }[]>(server, 'queues/%2F?disable_stats=true&columns=name')) ?? [];
  for (const { name } of queues) if (name.startsWith(`${prefix}.`)) await managed(server, queuePath(name), 'DELETE');
  for (const name of [`${prefix}.jobs`, `${prefix}.events`]) await managed(server, `exchanges/%2F/${encodeURIComponent(name)}`, 'DELETE');
}

/** A job queue whose depth also has the jobs in work, which only the management API knows. */
class ManagedJobQueue implements JobQueue {
  readonly #queue: RabbitJobQueue;
  readonly #leased: () => Promise<number>;

  constructor(queue: RabbitJobQueue, leased: () => Promise<number>) {
    this.#queue = queue;
    this.#leased = leased;
  }

  publish = (...args: Parameters<JobQueue['publish']>) => this.#queue.publish(...args);
  consume = (...args: Parameters<JobQueue['consume']>) => this.#queue.consume(...args);
  deadLetters = (limit: number) => this.#queue.deadLetters(limit);
  removeDead = (uploadId: string) => this.#queue.removeDead(uploadId);
  close = () => this.#queue.close();

  async depth(): Promise<QueueDepth> {
    const depth = await this.#queue.depth();
    if (depth.leased !== null) throw new Error('the queue itself cannot know what is leased');
    return { ...depth, leased: await this.#leased() };
  }
}

/** Queues under one prefix, each opened with connections of its own; closed together. */
export class RabbitRig {
  readonly server: RabbitServer;
  readonly prefix = newPrefix();
  readonly #options: Partial<RabbitJobQueueOptions>;
  readonly #rabbits: Rabbit[] = [];
  readonly #queues: RabbitJobQueue[] = [];

  constructor(server: RabbitServer, options: Partial<RabbitJobQueueOptions> = {}) {
    this.server = server;
    this.#options = options;
  }

  /** By another address than the server's, where something lies in between. */
  async open(url = this.server.url): Promise<RabbitJobQueue> {
    const rabbit = await openRabbit({ url, log: silent });
    this.#rabbits.push(rabbit);
    const queue = await RabbitJobQueue.open({ rabbit, log: silent, clock: Date.now, prefix: this.prefix, ...this.#options });
    this.#queues.push(queue);
    return queue;
  }

  async openManaged(): Promise<JobQueue> {
    // The totals without the statistics lag behind by one interval of the broker (5 s), not by two.
    const path = `${queuePath(`${this.prefix}.jobs`)}?disable_stats=true&enable_queue_totals=true`;
    const leased = async (): Promise<number> =>
      (await managed<{ messages_unacknowledged?: number }>(this.server, path))?.messages_unacknowledged ?? Number.NaN;
    return new ManagedJobQueue(await this.open(), leased);
  }

  /** A channel that knows nothing of the adapter. */
  async meddle<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    const connection = await connect(this.server.url);
    const channel = await connection.createConfirmChannel();
    try {
      return await work(channel);
    } finally {
      await connection.close();
    }
  }

  async closeConnections(): Promise<void> {
    await Promise.all(this.#queues.splice(0).map((queue) => queue.close()));
    await Promise.all(this.#rabbits.splice(0).map((rabbit) => rabbit.close()));
  }

  async close(): Promise<void> {
    await this.closeConnections();
    await removePrefix(this.server, this.prefix);
  }
}
