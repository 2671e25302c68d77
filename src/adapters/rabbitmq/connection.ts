import type { Duplex } from 'node:stream';
import { type Channel, type ChannelModel, type ConfirmChannel, connect, type RecoveringChannelModel } from 'amqplib';
import type { Logger } from 'pino';
import { asked, unavailable } from './unavailable.ts';

const HEARTBEAT_SECONDS = 10;
const CONNECT_MS = 5000;
const CLOSE_MS = 2000;
const RECOVERY = { initialDelay: 100, maxDelay: 5000, factor: 2, jitter: 0.2, maxRetries: Number.POSITIVE_INFINITY };

export interface RabbitConnectionOptions {
  url: URL;
  /** Shown by the broker beside the connection. */
  purpose: 'publishing' | 'consuming';
  log: Logger;
  /** Whether a broker that is away at first is waited for, like one that goes away later. */
  patient: boolean;
  /** Called when it has gone up or down, or was blocked or unblocked. */
  onChange: () => void;
}

/**
 * One connection to RabbitMQ that comes back by itself, for ever. While it is away nothing waits for it: whoever wants a
 * channel is told at once, and whoever has time waits for `connected`.
 */
export class RabbitConnection {
  readonly #recovering: RecoveringChannelModel;
  readonly #options: RabbitConnectionOptions;
  readonly #blockedListeners = new Set<() => void>();
  #model: ChannelModel | null = null;
  #connected = Promise.withResolvers<void>();
  #blocked = false;
  #closed = false;

  private constructor(recovering: RecoveringChannelModel, options: RabbitConnectionOptions) {
    this.#recovering = recovering;
    this.#options = options;
    recovering.on('connect', (model) => this.#wentUp(model));
    recovering.on('disconnect', (error) => this.#wentDown(error));
    recovering.on('blocked', () => this.#block(true));
    recovering.on('unblocked', () => this.#block(false));
    recovering.on('connect-failed', (err) =>
      options.log[options.patient ? 'warn' : 'debug']({ err, purpose: options.purpose }, 'RabbitMQ could not be reached'),
    );
    // Each is followed by `disconnect`; without a listener it would end the process.
    recovering.on('error', () => undefined);
  }

  /** Throws `queue_unavailable` when the broker cannot be reached now, unless it is patient; later losses mend themselves. */
  static async open(options: RabbitConnectionOptions): Promise<RabbitConnection> {
    const url = new URL(options.url);
    if (!url.searchParams.has('heartbeat')) url.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
    const recovering = await connect(url.href, {
      timeout: CONNECT_MS,
      noDelay: true,
      clientProperties: { connection_name: `windlass ${options.purpose}` },
      recovery: { ...RECOVERY, initialMaxRetries: options.patient ? Number.POSITIVE_INFINITY : 0, waitForConnect: false },
    });
    const connection = new RabbitConnection(recovering, options);
    try {
      await asked('answer', () => recovering.waitForConnect(), CONNECT_MS + 1000);
    } catch (error) {
      if (options.patient) return connection;
      await connection.close();
      throw error;
    }
    return connection;
  }

  get up(): boolean {
    return this.#model !== null;
  }

  /** The broker takes no messages from it, because memory or disk run short there. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Resolves when it is up, now or later. */
  connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** Returns the function that ends the listening. */
  onBlocked(listener: () => void): () => void {
    this.#blockedListeners.add(listener);
    return () => void this.#blockedListeners.delete(listener);
  }

  /** Throws `queue_unavailable`, at once while the connection is away. */
  channel(): Promise<Channel> {
    return this.#opened((model) => model.createChannel());
  }

  /** A channel whose messages the broker confirms. Throws as `channel` does. */
  confirmChannel(): Promise<ConfirmChannel> {
    return this.#opened((model) => model.createConfirmChannel());
  }

  /** Says goodbye, but does not wait long for a broker that says nothing. Never throws. */
  async close(): Promise<void> {
    const model = this.#model;
    this.#closed = true;
    this.#model = null;
    try {
      await asked('say goodbye', () => this.#recovering.close(), CLOSE_MS);
    } catch {
      // amqplib has no way to give up a connection before its heartbeat does.
      const { stream } = (model?.connection ?? {}) as { stream?: Duplex };
      stream?.destroy(new Error('closed without a goodbye'));
    }
  }

  async #opened<C extends Channel>(open: (model: ChannelModel) => Promise<C>): Promise<C> {
    if (!this.#model) throw unavailable('The message broker is away.');
    const opening = open(this.#model);
    try {
      const channel = await asked('open a channel', () => opening);
      // An error of a channel closes it, which is noticed; without a listener it would also end the process.
      return channel.on('error', () => undefined);
    } catch (error) {
      // One that opens too late is nobody's.
      opening.then(closeChannel, () => undefined);
      throw error;
    }
  }

  #wentUp(model: ChannelModel): void {
    if (this.#closed) return;
    this.#model = model;
    this.#blocked = false;
    this.#connected.resolve();
    this.#options.log.info({ purpose: this.#options.purpose }, 'connected to RabbitMQ');
    this.#options.onChange();
  }

  #wentDown(err: Error): void {
    this.#model = null;
    this.#connected = Promise.withResolvers();
    this.#options.log.warn({ err, purpose: this.#options.purpose }, 'the connection to RabbitMQ was lost; connecting again');
    this.#options.onChange();
  }

  #block(blocked: boolean): void {
    this.#blocked = blocked;
    const { log, purpose, onChange } = this.#options;
    if (blocked) log.warn({ purpose }, 'RabbitMQ takes no messages: it is short of memory or disk');
    else log.info({ purpose }, 'RabbitMQ takes messages again');
    if (blocked) for (const listener of this.#blockedListeners) listener();
    onChange();
  }
}

/** Closes a channel that may be closed already. Never throws, and does not wait long. */
export async function closeChannel(channel: Channel): Promise<void> {
  await asked('close a channel', () => channel.close(), CLOSE_MS).catch(() => undefined);
}

/** Carries out work on a channel of its own. Throws `queue_unavailable` when it takes longer than `ms`. */
export async function onChannel<T>(
  connection: RabbitConnection,
  what: string,
  work: (channel: Channel) => Promise<T>,
  ms?: number,
): Promise<T> {
  const channel = await connection.channel();
  try {
    return await asked(what, () => work(channel), ms);
  } finally {
    await closeChannel(channel);
  }
}
