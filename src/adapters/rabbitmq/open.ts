import type { Logger } from 'pino';
import { RabbitJobQueue } from '../job-queue/rabbitmq/queue.ts';
import { RabbitUploadEvents } from '../upload-events/rabbitmq.ts';
import { openRabbit } from './rabbit.ts';

export interface RabbitMessagesOptions {
  url: string;
  log: Logger;
  /** What the names of queues and exchanges begin with. */
  prefix: string;
  /** Address that clients reach the platform by: the source of its events. */
  publicUrl: string;
  /** Address below which the content of uploads is read. */
  contentUrl: string;
  /** Whether a broker that is away is waited for. */
  patient: boolean;
  /** Whether this process hears of changes; all tell of theirs. */
  listening: boolean;
  /** Epoch ms. */
  clock: () => number;
}

/** Jobs and events on the connections of one process. Throws `queue_unavailable` when the broker cannot be reached, unless it is patient. */
export async function openRabbitMessages(options: RabbitMessagesOptions) {
  const { url, log, prefix, publicUrl, contentUrl, patient, listening, clock } = options;
  const rabbit = await openRabbit({ url, log, patient });
  try {
    const queue = new RabbitJobQueue({ rabbit, log, prefix, clock });
    const events = await RabbitUploadEvents.open({ rabbit, log, prefix, publicUrl, contentUrl, listening });
    const close = async (): Promise<void> => {
      await events.close();
      await queue.close();
      await rabbit.close();
    };
    return { queue, events, close };
  } catch (error) {
    await rabbit.close();
    throw error;
  }
}
