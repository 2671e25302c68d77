import { z } from 'zod';
import { STRATEGIES, type Strategy } from './core/upload.ts';

/** One setting: its environment variable, what it means, and the schema that its text has to meet. */
export interface Setting<T = unknown> {
  schema: z.ZodType<T>;
  about: string;
  /** Shown in the docs; undefined means unset. */
  fallback: string | undefined;
  secret: boolean;
}

const setting = <T>(schema: z.ZodType<T>, about: string, fallback?: string): Setting<T> => ({ schema, about, fallback, secret: false });
const secret = (about: string): Setting<string | undefined> => ({
  schema: z.string().min(16, 'must have at least 16 characters').optional(),
  about,
  fallback: undefined,
  secret: true,
});

/** A secret that belongs to another system, in whatever form that has. */
const foreignSecret = (form: RegExp, message: string, about: string): Setting<string | undefined> => ({
  ...secret(about),
  schema: z.string().regex(form, message).optional(),
});

const whole = (min: number, max = Number.MAX_SAFE_INTEGER): z.ZodType<number> =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .refine((n) => n >= min && n <= max, {
      message: max === Number.MAX_SAFE_INTEGER ? `must be at least ${min}` : `must be from ${min} to ${max}`,
    });

const SIZE_UNITS: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };
/** Bytes, as a number or with a binary unit: 500, 64KiB, 100MiB, 5GiB, 1TiB. */
const bytes = (min = 0, max = Number.MAX_SAFE_INTEGER): z.ZodType<number> =>
  z
    .string()
    .regex(/^\d+(?:\s*[kmgt](?:i?b)?)?$/i, 'must be a number of bytes, such as 1048576 or 100MiB')
    .transform((text) => Number.parseInt(text, 10) * (SIZE_UNITS[(/[kmgt]/i.exec(text)?.[0] ?? '').toLowerCase()] ?? 1))
    .refine((n) => Number.isSafeInteger(n) && n >= min && n <= max, { message: `must be from ${min} to ${max} bytes` });

const url = (): z.ZodType<string> =>
  z
    .url({ protocol: /^https?$/, message: 'must be an http or https address' })
    .refine((text) => !/[?#]/.test(text), { message: 'must have no query and no fragment' })
    .transform((text) => text.replace(/\/+$/, ''));

const list = (item: RegExp, message: string): z.ZodType<string[]> =>
  z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean),
    )
    .refine((items) => items.every((one) => item.test(one)), { message });

/** At least one of the strategies, each once. */
const strategies = (): z.ZodType<Strategy[]> =>
  list(/^\S+$/, 'must be names').pipe(
    z
      .array(z.enum(STRATEGIES, { message: `must be some of ${STRATEGIES.join(', ')}, separated by commas` }))
      .min(1, 'must name at least one strategy')
      .refine((names) => new Set(names).size === names.length, { message: 'names a strategy twice' }),
  );

const decimal = (min: number, max: number): z.ZodType<number> =>
  z
    .string()
    .regex(/^\d+(?:\.\d+)?$/, 'must be a number such as 1 or 2.5')
    .transform(Number)
    .refine((n) => n >= min && n <= max, { message: `must be from ${min} to ${max}` });

const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/;

const [LEAST_WEIGHT, MOST_WEIGHT] = [0.01, 1000];
const weight = (): z.ZodType<number> => decimal(LEAST_WEIGHT, MOST_WEIGHT);

/** A server of DIRECT_MEMBERS. */
export interface ListedMember {
  name: string;
  url: string;
  weight: number;
}

/** `name=url` with `;weight=` where it is not 1, separated by commas. */
const members = (): z.ZodType<ListedMember[]> =>
  z.string().transform((text, context) => {
    const parts = text.split(',').map((part) => part.trim());
    const listed = parts.filter(Boolean).map((part) => memberOf(part) ?? part);
    const wrong = listed.find((member) => typeof member === 'string');
    const names = listed.map((member) => (typeof member === 'string' ? member : member.name));
    if (wrong !== undefined)
      context.addIssue({ code: 'custom', message: `must be name=url or name=url;weight=2, separated by commas; not ${wrong}` });
    if (new Set(names).size < names.length) context.addIssue({ code: 'custom', message: 'names a server twice' });
    return listed.filter((member) => typeof member !== 'string');
  });

function memberOf(text: string): ListedMember | null {
  const [, name = '', address = '', share = '1'] = /^([^=]+)=([^;\s]+)(?:;weight=([\d.]+))?$/.exec(text) ?? [];
  const [parsedUrl, parsedWeight] = [url().safeParse(address), weight().safeParse(share)];
  if (!NODE_NAME.test(name) || !parsedUrl.success || !parsedWeight.success) return null;
  return { name, url: parsedUrl.data, weight: parsedWeight.data };
}

const flag = (): z.ZodType<boolean> => z.enum(['true', 'false'], { message: 'must be true or false' }).transform((text) => text === 'true');
const words = (form: RegExp, message: string): z.ZodType<string> => z.string().regex(form, message);
const MEDIA_RANGE = /^[a-z0-9!#$&^_.+-]+\/(?:\*|[a-z0-9!#$&^_.+-]+)$/i;
const ORIGIN = /^(?:\*|https?:\/\/[^/\s?#]+)$/;

/** From the most talkative on. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Every setting that Windlass reads. docs/settings.md is generated from this table. */
export const SETTINGS = {
  PORT: setting(whole(0, 65535), 'Port of the API, the console and the embedded store. 0 takes any free one.', '8080'),
  OPS_PORT: setting(
    whole(0, 65535),
    'Port of metrics, health and the level of the log. Never make it public. 0 takes any free one.',
    '9090',
  ),
  HOST: setting(
    z.string().min(1),
    'Address to listen on, for health and metrics, too. A server on anything wider than loopback needs TOKENS_FILE.',
    '127.0.0.1',
  ),
  DATA_DIR: setting(
    z.string().min(1),
    'Folder for everything the embedded parts keep: database, store, spool, direct files, the key that signs links.',
    './data',
  ),
  STRATEGIES: setting(
    strategies(),
    'Strategies by which new uploads are taken, separated by commas. What only the others need, such as a spool, need not be there; uploads that were begun by them can still be finished, read and deleted.',
    STRATEGIES.join(','),
  ),
  SPOOL_DIR: setting(z.string().min(1).optional(), 'Folder where relayed uploads wait. Default: spool in DATA_DIR.'),
  DIRECT_DIR: setting(z.string().min(1).optional(), 'Folder for direct uploads. Default: direct in DATA_DIR.'),
  PUBLIC_URL: setting(
    url().optional(),
    'Address that clients reach this server by; links are made for it. Default: http://localhost:PORT.',
  ),
  CONTENT_PUBLIC_URL: setting(
    url().optional(),
    'Address below which clients read the content of uploads, where that is another one, such as that of a CDN: the `url` of uploads begins with it. Default: PUBLIC_URL.',
  ),
  CONTENT_CACHE: setting(
    z.enum(['revalidate', 'private', 'public']),
    'Who may keep content. revalidate: the client, and it asks each time whether it still may have it. private: the client, for CONTENT_MAX_AGE_SECONDS without asking. public: anyone on the way as well, such as a CDN, which then has to see itself who may read.',
    'revalidate',
  ),
  CONTENT_MAX_AGE_SECONDS: setting(
    whole(1, 31_536_000),
    'For how long content may be kept without asking. What was deleted can be read from there until then.',
    '86400',
  ),
  TOKENS_FILE: setting(
    z.string().min(1).optional(),
    'File with the hashes of service tokens, written by `windlass token`; read again when it changes. Without it no token is asked for, and the server listens on loopback only.',
  ),
  LOG_LEVEL: setting(
    z.enum(LOG_LEVELS),
    'Least severe log line that is written. `PUT /log-level` on the operations port changes it while the process runs.',
    'info',
  ),
  NODE_NAME: setting(
    z.string().regex(NODE_NAME, 'must be a host name').optional(),
    'Name of this server in records. Must stay the same for the same disk. Default: local; with MONGODB_URI the host name.',
  ),
  NODE_URL: setting(
    url().optional(),
    'Address by which workers and other servers reach this one, to read what lies on its disk. Default: http://localhost:PORT. `windlass api` needs it, unless SPOOL_SHARED is on.',
  ),
  INTERNAL_SECRET: secret(
    'Key that signs requests between servers and workers: the same for all of them. Unset, none are made or answered.',
  ),
  SPOOL_SHARED: setting(flag(), 'Whether all servers and workers have the same folder, on a shared drive, as SPOOL_DIR.', 'false'),

  DIRECT_PLACEMENT: setting(
    z.enum(['local', 'rendezvous', 'shared']),
    'Where direct files lie. local: on the server that took them. rendezvous: spread over the disks of all servers by their weights. shared: in one folder that all servers mount as DIRECT_DIR.',
    'local',
  ),
  DIRECT_MEMBERS: setting(
    members().optional(),
    'The servers that direct files are spread over, the same list for all: name=url or name=url;weight=2, separated by commas. Default: every server that runs with DIRECT_PLACEMENT=rendezvous.',
  ),
  DIRECT_WEIGHT: setting(weight(), 'Share of this server in the direct files, in proportion to the others.', '1'),
  DIRECT_BACKUP: setting(
    flag(),
    'Whether workers copy each direct file to the object store, from where it is read while the server that has it is away.',
    'false',
  ),
  REBALANCE_INTERVAL_SECONDS: setting(
    whole(0, 86400),
    'How often a server looks for direct files on its disk that belong on another, and moves them. 0 leaves it to `windlass rebalance`.',
    '300',
  ),
  REBALANCE_BYTES_PER_SECOND: setting(
    bytes(0),
    'How fast one process moves them, and how fast `windlass backup` copies them. 0 sets no limit.',
    '32MiB',
  ),

  MONGODB_URI: foreignSecret(
    /^mongodb(?:\+srv)?:\/\/\S+$/,
    'must be a mongodb:// or mongodb+srv:// address',
    'Address of MongoDB, with the name of the database: mongodb://user:password@host:27017/windlass. Unset, records are kept in SQLite.',
  ),
  RABBITMQ_URL: foreignSecret(
    /^amqps?:\/\/\S+$/,
    'must be an amqp:// or amqps:// address',
    'Address of RabbitMQ: amqp://user:password@host:5672. Unset, jobs are kept in SQLite.',
  ),
  RABBITMQ_PREFIX: setting(
    words(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be letters, digits and . _ -'),
    'What the names of queues and exchanges begin with.',
    'windlass',
  ),
  S3_BUCKET: setting(
    words(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket').optional(),
    'Bucket for objects. Unset, they are kept in DATA_DIR, and this server answers their links.',
  ),
  S3_ENDPOINT: setting(url().optional(), 'Address of the S3 server. Default: AWS in S3_REGION.'),
  S3_PUBLIC_ENDPOINT: setting(
    url().optional(),
    'Address by which clients reach the S3 server; links are signed for it. Default: S3_ENDPOINT.',
  ),
  S3_REGION: setting(words(/^[a-z0-9-]{1,64}$/, 'must be the name of a region'), 'Region of the bucket.', 'us-east-1'),
  S3_FORCE_PATH_STYLE: setting(
    flag().optional(),
    'true puts the bucket into the path of addresses, false into the host name. Default: true with S3_ENDPOINT, false for AWS.',
  ),
  AWS_ACCESS_KEY_ID: foreignSecret(
    /^\S+$/,
    'must have no spaces',
    'Access key for S3. Unset, the credentials are looked for as AWS does: web identity, shared files, the role of the machine.',
  ),
  AWS_SECRET_ACCESS_KEY: foreignSecret(/^\S+$/, 'must have no spaces', 'Secret of AWS_ACCESS_KEY_ID.'),
  AWS_SESSION_TOKEN: foreignSecret(/^\S+$/, 'must have no spaces', 'Session token, where the access key is a temporary one.'),

  MAX_UPLOAD_BYTES: setting(bytes(1, 5 * 1024 ** 4), 'Largest file that is taken.', '50GiB'),
  MAX_JSON_BYTES: setting(
    bytes(1024, 16 * 1024 ** 2),
    'Largest JSON body that is taken. The list of 10,000 parts takes most of the default.',
    '1MiB',
  ),
  ALLOWED_TYPES: setting(
    list(MEDIA_RANGE, 'must be media types such as image/png or image/*, separated by commas').optional(),
    'Media types that are taken, separated by commas; image/* takes all images. Default: all.',
  ),
  MAX_UPLOADS_IN_FLIGHT: setting(whole(1), 'Bodies received at the same time; one more is answered 503 with Retry-After.', '1000'),
  UPLOAD_IDLE_SECONDS: setting(whole(1, 3600), 'How long a body may pause before it is given up.', '30'),
  MIN_UPLOAD_BYTES_PER_SECOND: setting(
    bytes(0),
    'Slowest average rate of a body, looked at after the first UPLOAD_IDLE_SECONDS. 0 turns it off.',
    '256',
  ),
  MIN_FREE_BYTES: setting(bytes(0), 'Free space that the disks keep: below it uploads are answered 507.', '1GiB'),
  RATE_LIMIT_PER_SECOND: setting(
    whole(0),
    'Requests that one tenant may make each second, with bursts of twice as many. 0 turns it off.',
    '0',
  ),
  CORS_ORIGINS: setting(
    list(ORIGIN, 'must be origins such as https://app.example.com, or *').optional(),
    'Origins whose pages may use the API and the store links, separated by commas. Default: none but the own.',
  ),

  LINK_TTL_SECONDS: setting(whole(1, 7 * 86400), 'How long a signed link works.', '900'),
  PENDING_TTL_SECONDS: setting(
    whole(1, 30 * 86400),
    'How long a presigned upload may stay incomplete; fresh links can be asked for until then.',
    '86400',
  ),
  SINGLE_PART_BYTES: setting(
    bytes(1, 5 * 1024 ** 3),
    'Largest presigned upload that is sent in one request; larger ones are sent in parts.',
    '100MiB',
  ),
  PART_BYTES: setting(
    bytes(5 * 1024 ** 2, 5 * 1024 ** 3),
    'Size of a part; raised for files that would have more than 10,000 parts.',
    '64MiB',
  ),
  COMPLETE_WAIT_SECONDS: setting(whole(0, 60), 'How long a completion is waited for before it is answered 202.', '5'),
  LINK_SECRET: secret('Key that signs the links of the embedded store. Default: made at the first start and kept in DATA_DIR.'),

  WORKER_CONCURRENCY: setting(whole(1, 256), 'Jobs that one worker carries out at once.', '16'),
  JOB_ATTEMPTS: setting(whole(1, 100), 'Tries before a job is given up.', '12'),
  RETRY_BASE_SECONDS: setting(
    whole(0, 3600),
    'Pause after the first failure; doubled with each further one, up to RETRY_MAX_SECONDS.',
    '1',
  ),
  RETRY_MAX_SECONDS: setting(whole(1, 86400), 'Longest pause between two tries.', '600'),
  LEASE_SECONDS: setting(whole(1, 3600), 'How long a worker that has died keeps its job.', '30'),
  OUTBOX_INTERVAL_SECONDS: setting(whole(1, 3600), 'How often messages left behind are looked for.', '5'),

  RECONCILE_INTERVAL_SECONDS: setting(whole(0, 86400), 'How often the reconciler runs. 0 leaves it to `windlass reconcile`.', '300'),
  ORPHAN_GRACE_SECONDS: setting(whole(0, 30 * 86400), 'Age from which bytes without a record are removed.', '3600'),
  RECORD_RETENTION_SECONDS: setting(whole(0), 'How long records of deleted and expired uploads are kept.', '604800'),
  FAILED_RETENTION_SECONDS: setting(whole(0), 'How long failed uploads, and the spooled bytes a new try would need, are kept.', '2592000'),
  SHUTDOWN_GRACE_SECONDS: setting(whole(0, 86400), 'How long uploads and jobs in flight may take to finish after SIGTERM.', '25'),
  SHUTDOWN_DELAY_SECONDS: setting(whole(0, 300), 'How long requests are still taken after SIGTERM, while load balancers notice.', '0'),
  SHUTDOWN_HANDOVER_SECONDS: setting(
    whole(0, 86400),
    'How long a server, once its uploads have finished, waits for workers to fetch what lies in its spool. What is left waits there until it is back with its disk.',
    '0',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    url().optional(),
    'Address of an OpenTelemetry collector (OTLP over HTTP); traces go to /v1/traces there. Unset, nothing is traced and nothing of it is loaded.',
  ),
  OTEL_SERVICE_NAME: setting(words(/^[\w .-]{1,100}$/, 'must be a short name'), 'Name of the service in traces.', 'windlass'),
  OTEL_TRACES_SAMPLER_ARG: setting(
    z
      .string()
      .regex(/^(?:0(?:\.\d+)?|1(?:\.0+)?)$/, 'must be from 0 to 1')
      .transform(Number),
    'Share of traces begun here that are sent. A client that sends traceparent decides for its own.',
    '1',
  ),
  METRICS_TENANT_LABEL: setting(flag(), 'Adds the tenant as a label to upload metrics. Only with few tenants.', 'false'),
  METRICS_MAX_TENANTS: setting(whole(1, 10_000), 'Tenants that get a label of their own in one process; further ones share `other`.', '50'),
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;

/** The settings of the commands that talk to a server from outside (upload, list, get…). */
export const CLIENT_SETTINGS = {
  WINDLASS_URL: setting(
    url().refine((text) => !new URL(text).username, { message: 'must have no user name; tokens go into WINDLASS_TOKEN' }),
    'Address of the server that the command line talks to.',
    'http://localhost:8080',
  ),
  WINDLASS_TOKEN: {
    ...secret('Token that the command line sends, made by `windlass token`. A server without TOKENS_FILE asks for none.'),
    schema: z
      .string()
      .regex(/^[A-Za-z0-9._~+/-]{16,512}=*$/, 'is not a token: one line of 16 to 512 letters, digits and . _ ~ + / -')
      .optional(),
  },
  XDG_STATE_HOME: setting(
    z.string().startsWith('/', 'must be an absolute path').optional(),
    'Folder below which the command line remembers interrupted uploads, in windlass/. Default: ~/.local/state.',
  ),
} as const satisfies Record<string, Setting>;
