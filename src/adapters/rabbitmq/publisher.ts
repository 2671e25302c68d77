import type { ConfirmChannel, Options } from 'amqplib';
import type { WindlassError } from '../../errors.ts';
import type { RabbitConnection } from './connection.ts';
import { asked, unavailable } from './unavailable.ts';

/** More messages than this do not wait for their confirmation at once: the broker is slower than whoever publishes. */
const MAX_UNCONFIRMED = 5000;

export interface Outgoing {
  exchange: string;
  routingKey: string;
  content: Buffer;
  /** Whether it is an error that no queue takes the message. */
  mandatory: boolean;
  properties: Options.Publish;
}

/** Publishes messages and waits until the broker has them safe. */
export class ConfirmingPublisher {
  readonly #connection: RabbitConnection;
  readonly #declare: () => Promise<void>;
  /** By correlation id: how each message that is not confirmed yet ends. */
  readonly #unconfirmed = new Map<string, (error?: unknown) => void>();
  readonly #stopListening: () => void;
  #declared: Promise<void> | null = null;
  #channel: Promise<ConfirmChannel> | null = null;
  #published = 0;
  #closed = false;

  /** `declare` makes what messages are sent to: before the first one, and when the broker turns out not to have it. */
  constructor(connection: RabbitConnection, declare: () => Promise<void>) {
    this.#connection = connection;
    this.#declare = declare;
    this.#stopListening = connection.onBlocked(() => this.#failAll(blocked()));
  }

  /** Resolves when the broker has confirmed. Throws `queue_unavailable` within seconds; the message may then have arrived all the same. */
  async publish(message: Outgoing): Promise<void> {
    if (this.#closed) throw closed();
    if (this.#connection.blocked) throw blocked();
    if (this.#unconfirmed.size >= MAX_UNCONFIRMED) throw unavailable('The message broker is slower than what is sent to it.');
    await asked('confirm a message', async () => this.#send(await this.ready(), message));
  }

  /** Declares and opens what publishing needs. Throws `queue_unavailable`. */
  async ready(): Promise<ConfirmChannel> {
    this.#declared ??= this.#declare().catch((error: unknown) => {
      this.#declared = null;
      throw error;
    });
    await this.#declared;
    this.#channel ??= this.#open().catch((error: unknown) => {
      this.#channel = null;
      throw error;
    });
    return this.#channel;
  }

  close(): void {
    this.#closed = true;
    this.#stopListening();
    this.#failAll(closed());
  }

  async #open(): Promise<ConfirmChannel> {
    const channel = await this.#connection.confirmChannel();
    channel.on('close', () => {
      // Also what a broker that was set up anew no longer has is declared again.
      this.#channel = null;
      this.#declared = null;
    });
    channel.on('return', ({ properties }) => {
      this.#declared = null;
      this.#unconfirmed.get(properties.correlationId)?.(unavailable('The message broker has no queue for the message.'));
    });
    return channel;
  }

  /** The broker sends a message back before it confirms it; which one it was tells the correlation id. */
  #send(channel: ConfirmChannel, { exchange, routingKey, content, mandatory, properties }: Outgoing): Promise<void> {
    const correlationId = String(++this.#published);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const settle = (error?: unknown): void => {
      this.#unconfirmed.delete(correlationId);
      if (error) reject(error);
      else resolve();
    };
    this.#unconfirmed.set(correlationId, settle);
    try {
      channel.publish(exchange, routingKey, content, { ...properties, mandatory, persistent: true, correlationId }, settle);
    } catch (error) {
      settle(error);
    }
    return promise;
  }

  #failAll(error: WindlassError): void {
    for (const settle of this.#unconfirmed.values()) settle(error);
  }
}

const blocked = (): WindlassError => unavailable('The message broker takes no messages at present.');
const closed = (): WindlassError => unavailable('Nothing is published any more.');
