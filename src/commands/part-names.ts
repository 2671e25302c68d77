import type { Config } from '../config.ts';

/** A part of the platform as operators know it. */
export interface PartName {
  subject: 'database' | 'queue' | 'object store';
  /** What was chosen for it. */
  product: string;
  /** Whether it lies in DATA_DIR. */
  embedded: boolean;
  /** What to do, by the reason why it does not work. */
  advice: (reason: string) => string;
}

const embeddedAdvice = (): string => 'Check that DATA_DIR is on a local disk, can be written to, and is neither full nor damaged.';

export function databaseName({ MONGODB_URI }: Config): PartName {
  const chosen = MONGODB_URI ? { product: 'MongoDB', embedded: false, advice: mongoAdvice } : SQLITE;
  return { subject: 'database', ...chosen };
}

export function queueName({ RABBITMQ_URL }: Config): PartName {
  const chosen = RABBITMQ_URL ? { product: 'RabbitMQ', embedded: false, advice: rabbitAdvice } : SQLITE;
  return { subject: 'queue', ...chosen };
}

export function storeName({ S3_BUCKET, DATA_DIR }: Config): PartName {
  if (S3_BUCKET) return { subject: 'object store', product: `S3 bucket ${S3_BUCKET}`, embedded: false, advice: s3Advice };
  return { subject: 'object store', product: `disk at ${DATA_DIR}`, embedded: true, advice: embeddedAdvice };
}

const SQLITE = { product: 'SQLite', embedded: true, advice: embeddedAdvice };

function mongoAdvice(reason: string): string {
  if (/not authorized/i.test(reason)) return 'Give the user of MONGODB_URI the role readWrite on that database.';
  if (/auth/i.test(reason)) return 'Check user, password and authSource in MONGODB_URI.';
  return 'Check that MongoDB runs, that MONGODB_URI names it, and that this machine may connect to it.';
}

function rabbitAdvice(reason: string): string {
  if (/no (?:queue|exchange) '/.test(reason)) return 'Make what is missing: windlass provision';
  if (/ACCESS.REFUSED|403/.test(reason)) return 'Check user, password and virtual host in RABBITMQ_URL, and what that user may do there.';
  if (/exists with other arguments/.test(reason)) return 'Or give this version queues of its own: RABBITMQ_PREFIX.';
  return 'Check that RabbitMQ runs, that RABBITMQ_URL names it, and that this machine may connect to it.';
}

function s3Advice(reason: string): string {
  if (/NoSuchBucket/.test(reason)) return 'Make the bucket (windlass provision), or correct S3_BUCKET, S3_REGION and S3_ENDPOINT.';
  if (/TimeTooSkewed/.test(reason)) return 'Synchronise the clocks (NTP).';
  if (/InvalidAccessKeyId|UserNotFound|SignatureDoesNotMatch|InvalidToken|ExpiredToken|no credentials/.test(reason))
    return 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of this machine.';
  if (/AccessDenied|\(403\)/.test(reason)) return 'Let these credentials list the bucket, and read, write and delete its objects.';
  if (/\(30[17]\)|AuthorizationHeaderMalformed/.test(reason)) return 'Check S3_REGION: the bucket is in another one.';
  return 'Check that the store runs, that S3_ENDPOINT names it, and that this machine may connect to it.';
}
