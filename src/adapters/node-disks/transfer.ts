import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { collectYoungGarbage } from '../../chunk-memory.ts';
import { ask, type Peer, patienceOf, refused, unavailable } from './peer.ts';

/** How often a transfer is resumed that brought nothing since the last time, and the first of the growing pauses between. */
const RESUMPTIONS = 4;
const PAUSE_MS = 100;
const BUFFER_BYTES = 1024 ** 2;

export interface TransferParts {
  peer: Peer;
  path: string;
  /** The answer that the transfer begins with. */
  first: IncomingMessage;
  /** Where in the file its first byte lies. */
  start: number;
}

/**
 * A file of another server, or a range of it, as it comes. When the connection is cut the rest is asked for; with
 * `node_unavailable` it fails when the server is away for longer. To destroy it is to close the connection.
 */
export class Transfer extends Readable {
  readonly #peer: Peer;
  readonly #path: string;
  readonly #last: number;
  /** Changes if somebody writes the file again: its parts would not belong together. */
  readonly #modifiedAt: string | undefined;
  readonly #closed = new AbortController();
  readonly #pieces = this.#bytes();
  #at: number;
  #answer: IncomingMessage | null;

  constructor({ peer, path, first, start }: TransferParts) {
    super({ highWaterMark: BUFFER_BYTES });
    this.#peer = peer;
    this.#path = path;
    this.#at = start;
    this.#last = start + Number(first.headers['content-length']) - 1;
    this.#modifiedAt = modifiedAtOf(first);
    this.#answer = first;
  }

  override _read(): void {
    this.#pieces.next().then(
      ({ value, done }) => {
        if (!this.destroyed) this.push(done ? null : value);
      },
      (error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#closed.abort();
    this.#answer?.destroy();
    done(error);
  }

  async *#bytes(): AsyncGenerator<Buffer> {
    for (let failures = 0; this.#at <= this.#last; ) {
      try {
        this.#answer ??= await this.#resume();
        for await (const chunk of patiently(this.#answer, patienceOf(this.#peer))) {
          this.#at += chunk.length;
          failures = 0;
          collectYoungGarbage(chunk.length);
          yield chunk;
        }
        if (this.#at <= this.#last) throw new Error('the answer ended early');
      } catch (error) {
        failures += 1;
        if (this.#closed.signal.aborted) return;
        if (failures > RESUMPTIONS) throw unavailable(this.#peer, error);
        await pause(PAUSE_MS * 2 ** failures, undefined, { signal: this.#closed.signal }).catch(() => undefined);
      } finally {
        this.#answer?.destroy();
        this.#answer = null;
      }
    }
  }

  async #resume(): Promise<IncomingMessage> {
    const answer = await ask(this.#peer, 'GET', this.#path, { Range: `bytes=${this.#at}-${this.#last}` });
    if (answer.statusCode !== 206) throw refused(this.#peer, answer);
    if (modifiedAtOf(answer) === this.#modifiedAt && !this.#closed.signal.aborted) return answer;
    answer.destroy();
    throw new Error('the file was written again meanwhile');
  }
}

const modifiedAtOf = ({ headers }: IncomingMessage): string | undefined => headers['x-modified-at']?.toString();

/** The pieces of an answer. Waiting for the next one is limited, not the time that the reader takes with it. */
async function* patiently(answer: IncomingMessage, patienceMs: number): AsyncGenerator<Buffer> {
  const giveUp = (): void => void answer.destroy(new Error(`no bytes within ${patienceMs} ms`));
  let timer = setTimeout(giveUp, patienceMs);
  try {
    for await (const chunk of answer) {
      clearTimeout(timer);
      yield chunk as Buffer;
      timer = setTimeout(giveUp, patienceMs);
    }
  } finally {
    clearTimeout(timer);
  }
}
