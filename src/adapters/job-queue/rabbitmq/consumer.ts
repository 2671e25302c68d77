import { setTimeout as pause } from 'node:timers/promises';
import type { ConsumeMessage } from 'amqplib';
import type { Logger } from 'pino';
import type { Consumer, Delivery, Job, Settlement } from '../../../ports/job-queue.ts';
import type { RabbitConnection } from '../../rabbitmq/connection.ts';
import { type Session, Subscription } from '../../rabbitmq/subscription.ts';
import { asked } from '../../rabbitmq/unavailable.ts';
import { deadMessage, deliveriesOf, type JobMessage, jobMessage, readJob } from './job-message.ts';
import type { JobNames } from './job-topology.ts';
import { rungFor } from './ladder.ts';

/** Before a job whose handler threw comes again. */
const THROWN_DELAY_MS = 500;
/** Between two tries to put a job back into the queue when the broker does not take it. */
const PUT_BACK_PAUSE_MS = 1000;
const CANCEL_MS = 2000;

export interface RabbitConsumerOptions {
  connection: RabbitConnection;
  names: JobNames;
  log: Logger;
  /** Whether a broker that is away at first is waited for. */
  patient: boolean;
  clock: () => number;
  /** Makes the queues that are missing. */
  declare: () => Promise<void>;
  /** Resolves when the broker has the message in this queue. */
  send: (queue: string, message: JobMessage) => Promise<void>;
  handler: (delivery: Delivery) => Promise<Settlement>;
  concurrency: number;
}

/** Takes as many jobs at once as it has places, and settles each on the channel that it came by. */
export class RabbitConsumer implements Consumer {
  readonly #options: RabbitConsumerOptions;
  readonly #subscription: Subscription;
  readonly #working = new Set<Promise<void>>();
  #tag: string | null = null;
  #stopping: Promise<void> | null = null;

  constructor(options: RabbitConsumerOptions) {
    this.#options = options;
    const { connection, log, patient } = options;
    this.#subscription = new Subscription({ connection, log, subject: 'jobs', patient, begin: (session) => this.#begin(session) });
  }

  /** Throws `queue_unavailable` when the broker is away; what happens to the subscription later is mended. */
  start(): Promise<void> {
    return this.#subscription.start();
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    const session = this.#subscription.stop();
    const tag = this.#tag;
    if (session && tag) await asked('cancel a consumer', () => session.channel.cancel(tag), CANCEL_MS).catch(() => undefined);
    const grace = new AbortController();
    await Promise.race([this.#settled(), pause(graceMs, undefined, { signal: grace.signal }).catch(() => undefined)]);
    grace.abort();
    // What is not settled by now is put back by the broker.
    await session?.end();
  }

  async #settled(): Promise<void> {
    await Promise.all(this.#working);
  }

  async #begin(session: Session): Promise<void> {
    const { declare, names, concurrency } = this.#options;
    await declare();
    const { channel } = session;
    await channel.prefetch(concurrency);
    const take = (message: ConsumeMessage | null): void => {
      // Null: the broker has cancelled the consumer, because its queue was deleted or moved, or a job took too long.
      if (message) this.#take(session, message);
      else void session.end();
    };
    const { consumerTag } = await channel.consume(names.work, take);
    this.#tag = consumerTag;
  }

  #take(session: Session, message: ConsumeMessage): void {
    if (this.#stopping) {
      // Was on its way when the consumer was cancelled.
      session.channel.nack(message, false, true);
      return;
    }
    const read = readJob(message);
    const work = read.job ? this.#work(session, message, read.job) : this.#bury(session, message, read.malformed);
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  async #work(session: Session, message: ConsumeMessage, job: Job): Promise<void> {
    const deliveries = deliveriesOf(message);
    const settlement = await this.#handle(session, job, deliveries);
    if (settlement.outcome === 'done') return acknowledge(session, message);
    if (settlement.outcome === 'dead') return this.#bury(session, message, settlement.reason);
    const { names, clock } = this.#options;
    const rung = rungFor(settlement.delayMs);
    await this.#move(session, message, rung === null ? names.work : names.delay(rung), jobMessage(job, deliveries + 1, clock()));
  }

  async #handle({ lost }: Session, job: Job, deliveries: number): Promise<Settlement> {
    const lease = new AbortController();
    const lose = (): void => lease.abort(new Error(`the lease on job ${job.id} was lost`, { cause: lost.reason }));
    lost.addEventListener('abort', lose);
    try {
      return await this.#options.handler({ job, deliveries, signal: lease.signal });
    } catch {
      return { outcome: 'retry', delayMs: THROWN_DELAY_MS };
    } finally {
      lost.removeEventListener('abort', lose);
    }
  }

  async #bury(session: Session, message: ConsumeMessage, reason: string): Promise<void> {
    const { names, clock, log } = this.#options;
    log.debug({ messageId: message.properties.messageId, reason }, 'a message goes to the dead jobs');
    await this.#move(session, message, names.dead, deadMessage(message, reason, clock()));
  }

  /**
   * Puts the message into another queue and only then takes it out of this one: a crash in between doubles it, none
   * loses it. A broker that takes nothing is waited for: giving the job back would only bring it again at once.
   */
  async #move(session: Session, message: ConsumeMessage, queue: string, moved: JobMessage): Promise<void> {
    const { send, log } = this.#options;
    while (!session.lost.aborted) {
      try {
        await send(queue, moved);
        return acknowledge(session, message);
      } catch (err) {
        log.warn({ err, queue }, 'a job could not be put back into the queue; it keeps its place until it can');
        await pause(PUT_BACK_PAUSE_MS, undefined, { signal: session.lost }).catch(() => undefined);
      }
    }
  }
}

function acknowledge({ channel, lost }: Session, message: ConsumeMessage): void {
  if (lost.aborted) return;
  try {
    channel.ack(message);
  } catch {
    // The channel is closing: the job comes again.
  }
}
