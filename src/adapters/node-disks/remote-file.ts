import type { ClientRequest, IncomingMessage } from 'node:http';
import { isWindlassError, WindlassError } from '../../errors.ts';
import type { DiskFile } from '../../ports/disk.ts';
import { begin, type Peer, patienceOf, unavailable } from './peer.ts';
import { sealOf } from './signature.ts';

/** Times as long as an answer is waited for: for the other disk to take a piece, and for all of it to be flushed there. */
const WRITE_PATIENCE = 6;
const COMMIT_PATIENCE = 24;
const RETRY_AFTER_SECONDS = 30;

export interface RemoteFileParts {
  peer: Peer;
  key: string;
  path: string;
  /** Bytes; null when unknown. */
  expectedSize: number | null;
}

/**
 * A file that is written on the disk of another server while its bytes arrive here: nothing of it is kept on the way, and
 * a write ends when the connection has taken the bytes, so that the other disk sets the pace. The other server keeps the
 * file only if the request ends with a seal over the SHA-256 of what it received: one that breaks off leaves nothing there.
 */
export class RemoteFile implements DiskFile {
  readonly key: string;
  readonly #peer: Peer;
  readonly #authorization: string;
  readonly #request: ClientRequest;
  /** The answer, or what keeps it from coming; nobody need be waiting for it. */
  readonly #answer: Promise<IncomingMessage>;
  #state: 'open' | 'sealed' | 'committed' | 'discarded' = 'open';
  #failure: unknown = null;
  /** Ends the write that is under way. (A listener of each write at the answer would keep its bytes until that comes.) */
  #interrupt: ((error: unknown) => void) | null = null;
  #size = 0;

  private constructor({ peer, key }: RemoteFileParts, request: ClientRequest, authorization: string) {
    this.key = key;
    this.#peer = peer;
    this.#request = request;
    this.#authorization = authorization;
    this.#answer = new Promise((resolve, reject) => {
      request.on('response', resolve).on('error', (error) => reject(unavailable(peer, error)));
      request.on('close', () => reject(unavailable(peer, new Error('the connection was closed'))));
    });
    // An answer that comes before the end says why no more bytes are taken.
    this.#answer.then(
      (answer) => {
        if (this.#state === 'open') this.#fail(refusal(peer, answer));
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** Throws `node_unavailable` when the server does not answer, and `spool_full` when its disk has no room. */
  static async open(parts: RemoteFileParts): Promise<RemoteFile> {
    const { peer, path, expectedSize } = parts;
    const headers: Record<string, string> = { 'Transfer-Encoding': 'chunked', Expect: '100-continue' };
    if (expectedSize !== null) headers['X-Expected-Size'] = String(expectedSize);
    const { request, authorization, answer } = await begin(peer, path, headers);
    if (answer) throw refusal(peer, answer);
    return new RemoteFile(parts, request, authorization);
  }

  get size(): number {
    return this.#size;
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    const given = chunks.filter(({ byteLength }) => byteLength > 0);
    if (given.length === 0) return;
    await this.#within(WRITE_PATIENCE, async () => {
      if (this.#state !== 'open') throw new Error(`${this.key} is ${this.#state}`);
      if (this.#failure) throw this.#failure;
      await this.#send(given);
    });
    for (const { byteLength } of given) this.#size += byteLength;
  }

  /** Throws what `open` throws, also when other bytes arrived there than were sent. */
  async commit(sha256?: string): Promise<void> {
    if (this.#state !== 'open') throw new Error(`${this.key} is ${this.#state}`);
    if (sha256 === undefined) throw new Error('a file on another server is committed with its SHA-256');
    if (this.#failure) throw this.#failure;
    this.#state = 'sealed';
    await this.#within(COMMIT_PATIENCE, async () => {
      this.#request.end(sealOf(this.#peer.secret, this.#authorization, sha256));
      const answer = await this.#answer;
      if (answer.statusCode !== 201) throw refusal(this.#peer, answer);
      answer.resume();
    });
    this.#state = 'committed';
  }

  /**
   * After a commit whose outcome nobody knows the file is left to the reconciler: it may be another request's by now.
   */
  async discard(): Promise<void> {
    if (this.#state === 'committed') return;
    this.#state = 'discarded';
    this.#request.destroy();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#interrupt?.(error);
  }

  /** Resolves when the connection has taken all of them. */
  #send(chunks: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = this.#request;
      this.#interrupt = reject;
      request.cork();
      chunks.forEach((chunk, at) => {
        if (at < chunks.length - 1) request.write(chunk);
        else request.write(chunk, (error) => (error ? reject(error) : resolve()));
      });
      request.uncork();
    });
  }

  /** What the other server, or the way to it, does not finish in time is `node_unavailable`; nothing more is sent then. */
  async #within(patience: number, work: () => Promise<void>): Promise<void> {
    const ms = patience * patienceOf(this.#peer);
    const timer = setTimeout(() => this.#request.destroy(new Error(`nothing was taken within ${ms} ms`)), ms);
    try {
      await work();
    } catch (error) {
      this.#request.destroy();
      throw isWindlassError(error) ? error : unavailable(this.#peer, error);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Why another server does not take a file, as this server's client is told. */
function refusal(peer: Peer, answer: IncomingMessage): WindlassError {
  const { statusCode } = answer;
  answer.resume();
  if (statusCode === 507)
    return new WindlassError('spool_full', `The disk of the server ${peer.node} has less free space than it must keep.`, {
      retryAfter: RETRY_AFTER_SECONDS,
    });
  return unavailable(peer, new Error(`it answered ${statusCode}`));
}
