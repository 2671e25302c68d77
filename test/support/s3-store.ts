import type { Readable } from 'node:stream';
import { setTimeout as passed } from 'node:timers/promises';
import { connectS3, type S3Options } from '../../src/adapters/object-store/s3/connection.ts';
import { S3Presigner } from '../../src/adapters/object-store/s3/presigner.ts';
import { S3ObjectStore, type S3ObjectStoreOptions } from '../../src/adapters/object-store/s3/store.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import type { S3Server } from '../services/servers.ts';
import { digestOf } from './random-file.ts';

export interface OpenOptions {
  connection?: Partial<S3Options>;
  store?: Partial<Omit<S3ObjectStoreOptions, 'connection'>>;
  /** False leaves the bucket as it is: absent, perhaps. */
  provision?: boolean;
}

export type OpenedS3Store = Awaited<ReturnType<typeof openS3Store>>;

/** A store on a real S3 server with its presigner. Each suite has a bucket of its own, made by `provision`. */
export async function openS3Store({ endpoint, accessKeyId, secretAccessKey }: S3Server, bucket: string, options: OpenOptions = {}) {
  const connection = connectS3({
    bucket,
    region: 'us-east-1',
    endpoint,
    publicEndpoint: null,
    pathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    ...options.connection,
  });
  const clock = Date.now;
  const store = new S3ObjectStore({ connection, clock, provisioning: { origins: [], abandonedDays: 2 }, ...options.store });
  const presigner = new S3Presigner({ connection, clock });
  if (options.provision !== false) await store.provision();
  return {
    connection,
    store,
    presigner,
    clock,
    /** The server's clock cannot be turned: this really waits. */
    pass: (ms: number): Promise<void> => passed(ms),
    /** As a client sends a part: with a signed link. */
    async uploadPart(key: string, multipartId: string, partNumber: number, bytes: Buffer): Promise<string> {
      const { url, headers } = await presigner.part({ key, multipartId, partNumber, size: bytes.length, expiresAt: clock() + 60_000 });
      const answer = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(bytes) });
      if (!answer.ok) throw new Error(`the part was answered ${answer.status}: ${await answer.text()}`);
      return answer.headers.get('ETag') ?? '';
    },
    async close(): Promise<void> {
      connection.close();
    },
  };
}

export const contentOf = async (store: ObjectStore, key: string) => digestOf((await store.read(key)) as Readable);

/** Keys of the multipart uploads under way that begin with `prefix`. */
export async function multipartsOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.listMultiparts(prefix)) found.push(key);
  return found;
}
