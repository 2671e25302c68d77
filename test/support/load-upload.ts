import { setTimeout as pause } from 'node:timers/promises';
import { type Answer, type ApiClient, type Bytes, follow, type LinkView } from './api-client.ts';
import { RandomFile } from './random-file.ts';

export type LoadStrategy = 'direct' | 'relay' | 'presign';
/** What is asked for: a whole upload of strategy 1 or 2, or one of the steps of strategy 3. `link` goes to the store. */
export type LoadStep = 'direct' | 'relay' | 'presign' | 'link' | 'complete';

/** How one request ended. */
export interface Outcome {
  step: LoadStep;
  /** Of all requests of the load, the how-manieth it was. */
  begun: number;
  /** Of the answer; 0 when the connection broke before there was one, -1 when none came for far too long. */
  status: number;
  code: string | null;
  retryAfter: string | null;
  /** What was answered instead of success, or why there was no answer. */
  problem: string | null;
}

/** Makes one request and writes down how it ended; null when there was no answer. */
export type Ask = (step: LoadStep, send: () => Promise<Answer>) => Promise<Answer | null>;

/** No promise is this slow: whoever waits so long for an answer has been forgotten. Milliseconds. */
const FORGOTTEN_MS = 45_000;
/** The patience of a client with a store that says nothing. */
const LINK_MS = 4000;

/** One upload of the load, which goes on from where it was interrupted until it is acknowledged. */
export class LoadUpload {
  readonly strategy: LoadStrategy;
  readonly file: RandomFile;
  readonly #key: string;
  #id: string | null = null;
  #link: LinkView | null = null;
  #sent = false;

  constructor(strategy: LoadStrategy, key: string, size: number) {
    this.strategy = strategy;
    this.#key = key;
    this.file = new RandomFile(size, key);
  }

  /** The upload's id when it has been acknowledged, by now or before; null when a step did not succeed. */
  advance(api: ApiClient, ask: Ask): Promise<string | null> {
    return this.strategy === 'presign' ? this.#presign(api, ask) : this.#receive(this.strategy, api, ask);
  }

  async #receive(strategy: 'direct' | 'relay', api: ApiClient, ask: Ask): Promise<string | null> {
    const bytes = (await this.file.bytes()) as Bytes;
    const answer = await ask(strategy, () => api.raw(strategy, bytes, { headers: this.#once }));
    return isSuccess(answer) ? answer.body.id : null;
  }

  async #presign(api: ApiClient, ask: Ask): Promise<string | null> {
    if (!this.#sent && !(await this.#send(api, ask))) return null;
    const id = this.#id ?? '';
    return isSuccess(await ask('complete', () => api.complete(id))) ? id : null;
  }

  async #send(api: ApiClient, ask: Ask): Promise<boolean> {
    const link = this.#link ?? (await this.#order(api, ask));
    if (!link) return false;
    const bytes = (await this.file.bytes()) as Bytes;
    const answer = await ask('link', () => answered(follow(link, bytes, AbortSignal.timeout(LINK_MS))));
    this.#link = link;
    this.#sent = isSuccess(answer);
    return this.#sent;
  }

  async #order(api: ApiClient, ask: Ask): Promise<LinkView | null> {
    const answer = await ask('presign', () => api.presign({ size: this.file.size }, this.#once));
    if (!isSuccess(answer)) return null;
    this.#id = answer.body.upload.id;
    return answer.body.request;
  }

  get #once(): Record<string, string> {
    return { 'Idempotency-Key': this.#key };
  }
}

const isSuccess = (answer: Answer | null): answer is Answer => answer !== null && answer.status < 300;

async function answered(sending: Promise<Response>): Promise<Answer> {
  const response = await sending;
  return { status: response.status, headers: response.headers, text: await response.text(), body: {} as Answer['body'] };
}

/** Makes a request that nothing can keep waiting for ever. */
export async function outcomeOf(
  step: LoadStep,
  begun: number,
  send: () => Promise<Answer>,
): Promise<{ outcome: Outcome; answer: Answer | null }> {
  const none = { step, begun, code: null, retryAfter: null };
  const done = new AbortController();
  const forgotten = pause(FORGOTTEN_MS, null, { signal: done.signal }).catch(() => null);
  try {
    const answer = await Promise.race([send(), forgotten]);
    if (!answer) return { outcome: { ...none, status: -1, problem: 'no answer' }, answer: null };
    const { status, headers, body, text } = answer;
    const problem = status < 300 ? null : text;
    return { outcome: { ...none, status, code: body.code ?? null, retryAfter: headers.get('Retry-After'), problem }, answer };
  } catch (error) {
    return { outcome: { ...none, status: 0, problem: String((error as Error).cause ?? error) }, answer: null };
  } finally {
    done.abort();
  }
}
