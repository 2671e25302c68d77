import { setTimeout as pause } from 'node:timers/promises';
import type { Channel } from 'amqplib';
import type { Logger } from 'pino';
import { closeChannel, type RabbitConnection } from './connection.ts';
import { asked, DECLARE_MS } from './unavailable.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

/** One channel for as long as it lasts. */
export interface Session {
  channel: Channel;
  /** Aborted when the channel is gone, and every delivery on it with it. */
  lost: AbortSignal;
  /** Gives the channel up, and with it what is not acknowledged. Idempotent. */
  end(): Promise<void>;
}

export interface SubscriptionOptions {
  connection: RabbitConnection;
  log: Logger;
  /** What is subscribed to, for the log. */
  subject: string;
  /** Whether a broker that is away at first is waited for, like one that goes away later. */
  patient: boolean;
  /** Declares what is needed and begins to consume. Ends the session when the broker cancels it. */
  begin: (session: Session) => Promise<void>;
}

/** Keeps a channel subscribed: when it is lost, whatever the reason, another one takes its place. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #stopping = new AbortController();
  #session: Session | null = null;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
  }

  /** Throws `queue_unavailable` when it cannot subscribe now, unless it is patient; what is lost later is mended in the background. */
  async start(): Promise<void> {
    const { patient, log, subject } = this.#options;
    const session = await this.#open().catch((err: unknown) => {
      if (!patient) throw err;
      log.warn({ err, subject }, 'could not subscribe yet; trying on');
      return null;
    });
    void this.#keep(session);
  }

  /** Subscribes no more. The session that still lasts, null if there is none, is left to the caller to end. */
  stop(): Session | null {
    this.#stopping.abort();
    return this.#session;
  }

  async #open(): Promise<Session> {
    const { connection, begin, subject } = this.#options;
    const session = sessionOn(await connection.channel());
    try {
      await asked(`begin to deliver ${subject}`, () => begin(session), DECLARE_MS);
    } catch (error) {
      await session.end();
      throw error;
    }
    this.#session = session;
    session.lost.addEventListener('abort', () => {
      if (this.#session === session) this.#session = null;
    });
    return session;
  }

  async #keep(first: Session | null): Promise<void> {
    let session = first ?? (await this.#reopen());
    while (session) {
      await ended(session);
      session = await this.#reopen();
    }
  }

  /** Null when it was stopped meanwhile. */
  async #reopen(): Promise<Session | null> {
    const { connection, log, subject } = this.#options;
    const { signal } = this.#stopping;
    for (let ms = FIRST_PAUSE_MS; !signal.aborted; ms = Math.min(ms * 2, LONGEST_PAUSE_MS)) {
      await Promise.race([connection.connected(), aborted(signal)]);
      if (signal.aborted) break;
      try {
        const session = await this.#open();
        log.info({ subject }, 'subscribed again');
        if (!signal.aborted) return session;
        await session.end();
      } catch (err) {
        log.warn({ err, subject }, 'could not subscribe again; trying on');
        await pause(ms, undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }
}

function sessionOn(channel: Channel): Session {
  const lost = new AbortController();
  let closing: Promise<void> | null = null;
  channel.on('close', () => lost.abort(new Error('the channel was lost')));
  const end = (): Promise<void> => {
    lost.abort(new Error('the channel was given up'));
    closing ??= closeChannel(channel);
    return closing;
  };
  return { channel, lost: lost.signal, end };
}

const ended = ({ lost }: Session): Promise<void> => aborted(lost);

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
