import type { ConsumeMessage } from 'amqplib';
import type { Logger } from 'pino';
import type { Provisioned, ProvisionStep } from '../../ports/provision.ts';
import type { UploadEvent, UploadEvents } from '../../ports/upload-events.ts';
import { ConfirmingPublisher } from '../rabbitmq/publisher.ts';
import type { Rabbit } from '../rabbitmq/rabbit.ts';
import { type Session, Subscription } from '../rabbitmq/subscription.ts';
import { declare, provisionTopology, type Topology } from '../rabbitmq/topology.ts';
import { InProcessUploadEvents } from './in-process.ts';
import { CLOUD_EVENT_TYPE, fromCloudEvent, toCloudEvent } from './rabbitmq-cloud-event.ts';

/** Events that wait for a process which does not read them. Then the oldest go: they are hints, and the broker's memory is not. */
const MAX_WAITING = 10_000;

export interface RabbitUploadEventsOptions {
  /** Stays open when the events are closed. */
  rabbit: Rabbit;
  log: Logger;
  /** Address that clients reach the platform by: the source of its events. */
  publicUrl: string;
  contentUrl?: string;
  /** What the name of the exchange begins with. */
  prefix?: string;
  /** Whether anybody in this process wants to hear of changes. Otherwise the broker need not send them here. */
  listening?: boolean;
}

/**
 * Events as CloudEvents on a topic exchange, for all processes of the platform and for whoever else binds a queue to it.
 * Also those of this process take the way through the broker: its listeners hear each of them once.
 */
export class RabbitUploadEvents implements UploadEvents, Provisioned {
  readonly #options: RabbitUploadEventsOptions;
  readonly #topology: Topology;
  readonly #publisher: ConfirmingPublisher;
  readonly #subscription: Subscription;
  readonly #listeners = new InProcessUploadEvents();

  private constructor(options: RabbitUploadEventsOptions) {
    this.#options = options;
    const { rabbit, log, prefix = 'windlass' } = options;
    this.#topology = { exchange: `${prefix}.events`, type: 'topic', queues: [] };
    this.#publisher = new ConfirmingPublisher(rabbit.publishing, () => declare(rabbit.consuming, this.#topology));
    this.#subscription = new Subscription({
      connection: rabbit.consuming,
      log,
      subject: 'events',
      patient: rabbit.patient,
      begin: (session) => this.#begin(session),
    });
  }

  /** Listening, unless that was not asked for. Throws `queue_unavailable`. */
  static async open(options: RabbitUploadEventsOptions): Promise<RabbitUploadEvents> {
    const events = new RabbitUploadEvents(options);
    if (options.listening ?? true) await events.#subscription.start();
    return events;
  }

  provision(): Promise<ProvisionStep[]> {
    return provisionTopology(this.#options.rabbit.consuming, this.#topology);
  }

  async publish(event: UploadEvent): Promise<void> {
    await this.#publisher.publish({
      exchange: this.#topology.exchange,
      routingKey: event.type,
      content: Buffer.from(JSON.stringify(toCloudEvent(event, this.#options.publicUrl, this.#options.contentUrl))),
      mandatory: false,
      properties: { contentType: CLOUD_EVENT_TYPE, messageId: event.id, timestamp: Math.floor(event.at / 1000) },
    });
  }

  subscribe(listener: (event: UploadEvent) => void): () => void {
    return this.#listeners.subscribe(listener);
  }

  async close(): Promise<void> {
    this.#publisher.close();
    await this.#subscription.stop()?.end();
  }

  /** A queue of this process alone, which goes away with its connection: what happens meanwhile is read from the records. */
  async #begin(session: Session): Promise<void> {
    const { channel } = session;
    const { exchange } = this.#topology;
    await declare(this.#options.rabbit.consuming, this.#topology);
    const limits = { arguments: { 'x-max-length': MAX_WAITING } };
    const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true, durable: false, ...limits });
    await channel.bindQueue(queue, exchange, '#');
    const hear = (message: ConsumeMessage | null): void => {
      if (message) this.#hear(message);
      else void session.end();
    };
    await channel.consume(queue, hear, { noAck: true });
  }

  #hear({ content, properties: { messageId } }: ConsumeMessage): void {
    if (this.#listeners.none) return;
    const event = fromCloudEvent(content);
    if (event) void this.#listeners.publish(event);
    else this.#options.log.debug({ messageId }, 'an event that this version does not understand');
  }
}
