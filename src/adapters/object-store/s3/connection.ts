import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { hexOf } from './notation.ts';

export interface S3Options {
  bucket: string;
  region: string;
  /** Address that this process reaches the store by; null for AWS itself. */
  endpoint: string | null;
  /** Address that clients reach the store by, where it is another one. */
  publicEndpoint: string | null;
  /** True puts the bucket into the path, false into the host name. */
  pathStyle: boolean;
  /** Null for the SDK's own search: environment, files, web identity, the machine's role. */
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | null;
  timeouts?: Partial<Timeouts>;
}

/** Milliseconds. None of them limits how long a transfer may take as long as it goes on. */
interface Timeouts {
  /** Until there is a connection. */
  connectMs: number;
  /** For a whole request that moves no bytes of objects, with the SDK's retries. */
  answerMs: number;
  /** Without a byte on the connection while an object is sent. */
  idleMs: number;
  /** For what the store does by itself before it answers (copies, putting parts together), and between two reads of an object. */
  workMs: number;
}

const TIMEOUTS: Timeouts = { connectMs: 3000, answerMs: 15_000, idleMs: 30_000, workMs: 300_000 };
/** More than all jobs of a worker and all requests of an API process need at once. */
const MAX_SOCKETS = 1024;
const MAX_IDLE_SOCKETS = 64;
/** The platform tries again by itself, with longer pauses. */
const ATTEMPTS = 3;

/** One bucket of one store, with the SDK's clients for it. */
export interface S3Connection {
  readonly bucket: string;
  readonly timeouts: Timeouts;
  /** For everything that is answered soon, and for sending objects. */
  readonly client: S3Client;
  /** The same, but bodies are sent with their SHA-256 in the signature, where every store checks it, at some cost for it. */
  readonly strict: S3Client;
  /** For what can keep a connection silent for long: copies, putting parts together, reading. */
  readonly patient: S3Client;
  /** Signs for the public address: the host is part of the signature, so a link cannot be rewritten afterwards. Sends nothing. */
  readonly signing: S3Client;
  close(): void;
}

export function connectS3({ bucket, timeouts: given, credentials, publicEndpoint, ...options }: S3Options): S3Connection {
  const timeouts = { ...TIMEOUTS, ...given };
  const pool = { keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_IDLE_SOCKETS };
  const agents = { httpAgent: new HttpAgent(pool), httpsAgent: new HttpsAgent(pool) };
  const handler = (socketTimeout: number) => ({ ...agents, connectionTimeout: timeouts.connectMs, socketTimeout });
  const open = (endpoint: string | null, config: S3ClientConfig): S3Client =>
    new S3Client({ ...COMMON, ...config, region: options.region, forcePathStyle: options.pathStyle, ...(endpoint ? { endpoint } : {}) });

  const client = open(options.endpoint, { requestHandler: handler(timeouts.idleMs), ...(credentials ? { credentials } : {}) });
  // One search for credentials, renewed for all of them when a role's run out.
  const shared = { credentials: client.config.credentials };
  const strict = open(options.endpoint, { requestHandler: handler(timeouts.idleMs), ...shared });
  signDigests(strict);
  const patient = open(options.endpoint, { requestHandler: handler(timeouts.workMs), ...shared });
  const signing = open(publicEndpoint ?? options.endpoint, shared);
  const close = (): void => {
    for (const one of [client, strict, patient, signing]) one.destroy();
  };
  return { bucket, timeouts, client, strict, patient, signing, close };
}

/** The SDK would sign a stream as unknown. The digest is the one that goes with the body as its checksum. */
function signDigests(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      const digest = headers['x-amz-checksum-sha256'];
      if (digest) headers['x-amz-content-sha256'] = hexOf(digest);
      return next(args);
    },
    { step: 'build', name: 'windlassPayloadDigest' },
  );
}

/** Without this the SDK's warnings about single requests go to the console; errors are reported by who calls. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

const COMMON = {
  maxAttempts: ATTEMPTS,
  logger: SILENT,
  // Otherwise the SDK adds a CRC32: to links that of an empty body, to streams a chunked encoding that many stores do not know.
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
  // Waiting for `100 Continue` costs a round trip, and seconds where a proxy swallows it.
  expectContinueHeader: false,
} as const satisfies S3ClientConfig;
