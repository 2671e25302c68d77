import type { Message, Options } from 'amqplib';
import { z } from 'zod';
import type { DeadJob, Job } from '../../../ports/job-queue.ts';

/** Headers of our own. */
const DELIVERIES = 'windlass-deliveries';
const REASON = 'windlass-reason';
const DIED_AT = 'windlass-died-at';

/** Characters of a reason that are kept: all headers together have to fit into one frame. */
const MAX_REASON = 2000;

/** Stands for what cannot be read in a message that is no job. */
const UNREADABLE = 'unreadable';

export interface JobMessage {
  content: Buffer;
  properties: Options.Publish;
}

/** Members that later versions add are let through, also in `kind`: whoever works on it says what it knows. */
const jobSchema = z.looseObject({
  id: z.string().min(1),
  kind: z.string().min(1),
  uploadId: z.string().min(1),
  trace: z.looseObject({ requestId: z.string(), traceparent: z.string().nullable() }),
});

/** `deliveries`: how often it was handed out before. `now` is in epoch ms. */
export function jobMessage(job: Job, deliveries: number, now: number): JobMessage {
  return {
    content: Buffer.from(JSON.stringify(job)),
    properties: {
      contentType: 'application/json',
      messageId: job.id,
      type: job.kind,
      timestamp: Math.floor(now / 1000),
      headers: { [DELIVERIES]: deliveries },
    },
  };
}

/** The same message for the queue of the dead, whatever it holds. */
export function deadMessage({ content, properties }: Message, reason: string, now: number): JobMessage {
  const { contentType, messageId, type, timestamp } = properties;
  const headers = { [DELIVERIES]: deliveriesOf({ properties }), [REASON]: reason.slice(0, MAX_REASON), [DIED_AT]: now };
  const known = Object.entries({ contentType, messageId, type, timestamp }).filter(([, value]) => value !== undefined);
  return { content, properties: { ...Object.fromEntries(known), headers } };
}

/** The job, or what is wrong with the message. */
export function readJob({ content }: Pick<Message, 'content'>): { job: Job } | { job: null; malformed: string } {
  try {
    const parsed: unknown = JSON.parse(content.toString());
    const { success, error } = jobSchema.safeParse(parsed);
    if (success) return { job: parsed as Job };
    return { job: null, malformed: `malformed: ${error.issues[0]?.path.join('.') || 'the message'} is not as it must be` };
  } catch {
    return { job: null, malformed: 'malformed: not JSON' };
  }
}

/** Retries are counted in a header, since each is a new message; what the broker had to hand out again it counts itself. */
export function deliveriesOf({ properties: { headers = {} } }: Pick<Message, 'properties'>): number {
  // RabbitMQ 4.3 counts deliveries that failed apart from all those that were made.
  return count(headers[DELIVERIES]) + Math.max(count(headers['x-delivery-count']), count(headers['x-acquired-count']));
}

/** A message in the queue of the dead. The broker itself puts there what was handed out too often, with headers of its own. */
export function deadJob(message: Message): DeadJob {
  const { headers = {}, messageId } = message.properties;
  const unreadable: Job = {
    id: typeof messageId === 'string' && messageId ? messageId : UNREADABLE,
    kind: 'relay',
    uploadId: UNREADABLE,
    trace: { requestId: UNREADABLE, traceparent: null },
  };
  const reason: unknown = headers[REASON] ?? headers['x-death']?.[0]?.reason;
  return {
    job: readJob(message).job ?? unreadable,
    reason: typeof reason === 'string' ? reason : 'unknown',
    diedAt: diedAtOf(message),
  };
}

/** Epoch ms; 0 where the message does not tell. */
export function diedAtOf({ properties: { headers = {} } }: Pick<Message, 'properties'>): number {
  return count(headers[DIED_AT]) || count(headers['x-death']?.[0]?.time.value) * 1000;
}

const count = (value: unknown): number => (typeof value === 'number' && value > 0 ? value : 0);
