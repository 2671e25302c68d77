import type { Channel } from 'amqplib';
import { codeOf, isWindlassError } from '../../errors.ts';
import type { ProvisionStep } from '../../ports/provision.ts';
import { onChannel, type RabbitConnection } from './connection.ts';
import { DECLARE_MS, unavailable } from './unavailable.ts';

export interface QuorumQueue {
  /** Also the key under which the exchange routes to it. */
  name: string;
  arguments: Record<string, string | number>;
}

/** A durable exchange and the durable quorum queues bound to it. */
export interface Topology {
  exchange: string;
  type: 'direct' | 'topic';
  queues: readonly QuorumQueue[];
}

const ACCESS_REFUSED = 403;
const NOT_FOUND = 404;
const PRECONDITION_FAILED = 406;

/**
 * Makes what is missing. Throws `queue_unavailable`, and says so when something of that name exists but was made
 * otherwise, by an older version or by hand.
 */
export async function declare(connection: RabbitConnection, { exchange, type, queues }: Topology): Promise<void> {
  const work = async (channel: Channel): Promise<void> => {
    await clearly('exchange', exchange, () => channel.assertExchange(exchange, type, { durable: true }));
    for (const queue of queues) {
      const options = { durable: true, arguments: { 'x-queue-type': 'quorum', ...queue.arguments } };
      await clearly('queue', queue.name, () => channel.assertQueue(queue.name, options));
      await clearly('queue', queue.name, () => channel.bindQueue(queue.name, exchange, queue.name));
    }
  };
  await onChannel(connection, 'declare exchanges and queues', work, DECLARE_MS);
}

/** `declare`, with an account of what was there before. */
export async function provisionTopology(connection: RabbitConnection, topology: Topology): Promise<ProvisionStep[]> {
  const { exchange, queues } = topology;
  const there = new Map([[`exchange ${exchange}`, await exists(connection, (channel) => channel.checkExchange(exchange))]]);
  for (const { name } of queues) there.set(`queue ${name}`, await exists(connection, (channel) => channel.checkQueue(name)));
  await declare(connection, topology);
  return [...there].map(([subject, before]) => ({ subject, outcome: before ? 'unchanged' : 'made', detail: '' }));
}

/** A passive declaration that fails closes its channel, so each has its own. */
async function exists(connection: RabbitConnection, check: (channel: Channel) => Promise<unknown>): Promise<boolean> {
  try {
    await onChannel(connection, 'look for a queue', check);
    return true;
  } catch (error) {
    if (replyCodeOf(error) === NOT_FOUND) return false;
    throw error;
  }
}

async function clearly(kind: string, name: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const code = replyCodeOf(error);
    if (code === PRECONDITION_FAILED) {
      const member = /inequivalent arg '([^']+)'/.exec((error as Error).message)?.[1];
      const which = member ? ` (${member})` : '';
      throw unavailable(
        `The ${kind} ${name} exists with other arguments than this version declares${which}: let it run empty, delete it, and run \`windlass provision\`.`,
        error,
      );
    }
    if (code === ACCESS_REFUSED) throw unavailable(`The user of the message broker may not declare the ${kind} ${name}.`, error);
    throw error;
  }
}

/** The reply code of AMQP that an error came with; null when it came from somewhere else. */
export function replyCodeOf(error: unknown): number | null {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  if (typeof code === 'number') return code;
  return isWindlassError(error) && codeOf(cause) === null && cause ? replyCodeOf(cause) : null;
}
