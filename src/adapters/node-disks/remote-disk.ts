import { Agent, type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { WindlassError } from '../../errors.ts';
import type { ByteRange, DiskEntry } from '../../ports/disk.ts';
import type { NodeDisk } from '../../ports/node-disks.ts';
import { signRequest } from './signature.ts';

export interface RemoteDiskParts {
  node: string;
  area: 'spool' | 'direct';
  /** Where the server is right now; throws `node_unavailable` when nobody knows. */
  address: () => Promise<string>;
  secret: string;
  /** Epoch ms. */
  clock: () => number;
  agent: Agent;
}

/** Until the head of an answer has come, and between two pieces of its body. Milliseconds. */
const PATIENCE_MS = 5000;
/** How often a transfer is resumed that brought nothing since the last time, and the first of the growing pauses between. */
const RESUMPTIONS = 4;
const PAUSE_MS = 100;
const RETRY_AFTER_SECONDS = 5;

export const internalAgent = (): Agent => new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: PATIENCE_MS });

/** The disk of another server, read over signed requests. A transfer that is cut is resumed where it was. */
export class RemoteDisk implements NodeDisk {
  readonly #parts: RemoteDiskParts;

  constructor(parts: RemoteDiskParts) {
    this.#parts = parts;
  }

  async stat(key: string): Promise<DiskEntry | null> {
    const answer = await this.#send('HEAD', key);
    answer.resume();
    if (answer.statusCode === 404) return null;
    this.#expect(answer, [200]);
    return { key, size: Number(answer.headers['content-length']), modifiedAt: Number(answer.headers['x-modified-at']) };
  }

  async read(key: string, range?: ByteRange): Promise<Readable | null> {
    const entry = range ? null : await this.stat(key);
    if (!range && !entry) return null;
    const wanted = range ?? { start: 0, end: (entry?.size ?? 0) - 1 };
    if (wanted.end < wanted.start) return Readable.from([]);
    const first = await this.#get(key, wanted);
    return first && Readable.from(this.#bytes(key, wanted, first), { objectMode: false, highWaterMark: 1024 ** 2 });
  }

  async remove(key: string): Promise<boolean> {
    const answer = await this.#send('DELETE', key);
    answer.resume();
    this.#expect(answer, [204, 404]);
    return answer.statusCode === 204;
  }

  async *#bytes(key: string, { start, end }: ByteRange, first: IncomingMessage): AsyncGenerator<Buffer> {
    let at = start;
    let answer: IncomingMessage | null = first;
    for (let failures = 0; at <= end; ) {
      try {
        answer ??= await this.#get(key, { start: at, end });
        if (!answer) throw new Error('the file is gone');
        for await (const chunk of answer) {
          at += (chunk as Buffer).length;
          failures = 0;
          yield chunk;
        }
        if (at <= end) throw new Error('the answer ended early');
      } catch (error) {
        failures += 1;
        if (failures > RESUMPTIONS) throw this.#unavailable(error);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** failures));
      } finally {
        answer?.destroy();
        answer = null;
      }
    }
  }

  async #get(key: string, { start, end }: ByteRange): Promise<IncomingMessage | null> {
    const answer = await this.#send('GET', key, { Range: `bytes=${start}-${end}` });
    if (answer.statusCode === 206) return answer;
    answer.resume();
    if (answer.statusCode === 404) return null;
    throw this.#unavailable(new Error(`answered ${answer.statusCode}`));
  }

  async #send(method: string, key: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    const { area, address, secret, clock, agent } = this.#parts;
    const url = new URL(`${await address()}/internal/${area}/${key}`);
    const authorization = signRequest(secret, { method, path: url.pathname }, clock());
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(this.#unavailable(error));
      const sending = request(url, { method, agent, timeout: PATIENCE_MS, headers: { ...headers, Authorization: authorization } });
      sending.on('timeout', () => sending.destroy(new Error('no answer in time')));
      sending.on('error', fail);
      sending.on('response', resolve);
      sending.end();
    });
  }

  #expect({ statusCode = 0 }: IncomingMessage, expected: number[]): void {
    if (!expected.includes(statusCode)) throw this.#unavailable(new Error(`answered ${statusCode}`));
  }

  #unavailable(cause: unknown): WindlassError {
    const { node } = this.#parts;
    return new WindlassError('node_unavailable', `The server ${node}, which keeps the file, does not answer.`, {
      cause,
      retryAfter: RETRY_AFTER_SECONDS,
    });
  }
}
