import type { QuorumQueue, Topology } from '../../rabbitmq/topology.ts';
import { RUNGS } from './ladder.ts';

export interface JobNames {
  exchange: string;
  /** Jobs that wait for a worker. */
  work: string;
  dead: string;
  /** Exclusive, held by whoever reads the dead jobs. */
  deadLock: string;
  delay(rung: number): string;
}

export function jobNames(prefix: string): JobNames {
  const exchange = `${prefix}.jobs`;
  return {
    exchange,
    work: exchange,
    dead: `${exchange}.dead`,
    deadLock: `${exchange}.dead.lock`,
    delay: (rung) => `${exchange}.delay.${rung}`,
  };
}

interface JobLimits {
  deliveryLimit: number;
  consumerTimeoutMs: number;
}

/**
 * The queues of the jobs. What moves from one to another within the broker (a delay that has passed, a job that took its
 * workers down) is removed from the first only when the second has it: `at-least-once`, which needs `reject-publish`.
 */
export function jobTopology(names: JobNames, { deliveryLimit, consumerTimeoutMs }: JobLimits): Topology {
  const onTo = (queue: string): QuorumQueue['arguments'] => ({
    'x-dead-letter-exchange': names.exchange,
    'x-dead-letter-routing-key': queue,
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  });
  return {
    exchange: names.exchange,
    type: 'direct',
    queues: [
      // First what is dead-lettered to: a job on its way must find it.
      // Reading the dead jobs counts as a delivery: without -1 the broker would drop them after the twentieth time.
      { name: names.dead, arguments: { 'x-delivery-limit': -1 } },
      {
        name: names.work,
        arguments: { 'x-delivery-limit': deliveryLimit, 'x-consumer-timeout': consumerTimeoutMs, ...onTo(names.dead) },
      },
      ...RUNGS.map((rung) => ({ name: names.delay(rung), arguments: { 'x-message-ttl': rung, ...onTo(names.work) } })),
    ],
  };
}
