/**
 * A server that runs already and goes on running, such as one on a cluster: TEST_WINDLASS_URL is its address,
 * TEST_WINDLASS_TOKEN a token of it, and TEST_WINDLASS_INSIDE where its files can be looked at.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { S3Server } from '../services/servers.ts';
import { openS3Store } from './s3-store.ts';

const { env } = process;

/** What of it can be seen by who operates it. */
export interface Inside {
  namespace: string;
  /** Of servers, with their files below /data. */
  pods: string[];
  s3: S3Server;
  bucket: string;
}

export const ELSEWHERE = env.TEST_WINDLASS_URL === undefined ? null : new URL(env.TEST_WINDLASS_URL);

/** What requests to it carry. */
export const AUTHORIZATION: Record<string, string> =
  ELSEWHERE && env.TEST_WINDLASS_TOKEN ? { Authorization: `Bearer ${env.TEST_WINDLASS_TOKEN}` } : {};

/** Every file of clients' bytes on the servers' disks and in the bucket, as data-folder.ts names them. */
export async function filesElsewhere(): Promise<string[]> {
  const inside: Inside = JSON.parse(env.TEST_WINDLASS_INSIDE ?? '');
  const found = await Promise.all([...inside.pods.map((pod) => filesIn(inside.namespace, pod)), objectsIn(inside)]);
  return found.flat().sort();
}

async function filesIn(namespace: string, pod: string): Promise<string[]> {
  const source = await readFile(new URL('data-folder.ts', import.meta.url), 'utf8');
  const program = `${source}\nconsole.log(JSON.stringify(await storedFiles('/data')));`;
  const command = ['node', '--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '--eval', program];
  const args = ['--namespace', namespace, 'exec', pod, '--container=api', '--', ...command];
  const { stdout } = await promisify(execFile)(env.TEST_KUBECTL ?? 'kubectl', args, { maxBuffer: 16 * 1024 ** 2 });
  return JSON.parse(stdout);
}

async function objectsIn({ s3, bucket }: Inside): Promise<string[]> {
  const { store, close } = await openS3Store(s3, bucket, { provision: false });
  try {
    const keys: string[] = [];
    for await (const { key } of store.list('')) keys.push(`store/${key}`);
    for await (const { key } of store.listMultiparts('')) keys.push(`store/multipart/${key}`);
    return keys;
  } finally {
    await close();
  }
}
