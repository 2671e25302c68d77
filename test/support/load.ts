import { setTimeout as pause } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { ApiClient } from './api-client.ts';
import { eachOf } from './each-of.ts';
import { eventually } from './eventually.ts';
import { allIds } from './leftovers.ts';
import { type Ask, type LoadStep, type LoadStrategy, LoadUpload, type Outcome, outcomeOf } from './load-upload.ts';

const STRATEGIES: readonly LoadStrategy[] = ['direct', 'relay', 'presign'];
const SIZES = [1, 700, 60_000, 400_000, 3 * 1024 ** 2];
/** Between two uploads of a lane: a load, not a flood. */
const PACE_MS = 700;
const WAIT_MS = 120_000;

interface Kept {
  strategy: LoadStrategy;
  sha256: string;
  size: number;
}

/**
 * Uploads by all three strategies, one after the other in each, by turns to each of the servers, for as long as it runs.
 * It remembers what was acknowledged and how every request ended; no two files are the same.
 */
export class Load {
  readonly outcomes: Outcome[] = [];
  readonly #acknowledged = new Map<string, Kept>();
  readonly #unfinished = new Set<LoadUpload>();
  readonly #apis: ApiClient[];
  readonly #seed: string;
  #begun = 0;
  #uploads = 0;
  #lanes: Promise<void>[] = [];
  #stopped = false;

  constructor(urls: readonly string[], seed: string) {
    this.#apis = urls.map((url) => new ApiClient(url));
    this.#seed = seed;
  }

  start(): void {
    this.#stopped = false;
    this.#lanes = STRATEGIES.map((strategy) => this.#lane(strategy));
  }

  /** Resolves when what was under way has come to an end, good or bad. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Waits until `count` requests of each of these kinds, begun from now on, have ended; how they did. */
  async next(steps: readonly LoadStep[], count: number): Promise<Outcome[]> {
    const ended = this.#since(this.#begun, steps);
    return eventually(() => {
      expect(fewerThan(count, steps, ended())).toEqual([]);
      return ended();
    }, WAIT_MS);
  }

  /** Some further requests of each kind to the servers succeed. */
  async works(steps: readonly LoadStep[] = ['direct', 'relay', 'presign', 'complete'], count = 2): Promise<void> {
    const ended = this.#since(this.#begun, steps);
    await eventually(() => {
      expect(this.wrongs).toEqual([]);
      expect(fewerThan(count, steps, ended().filter(isSuccess))).toEqual([]);
    }, WAIT_MS);
  }

  #since(last: number, steps: readonly LoadStep[]): () => Outcome[] {
    return () => this.outcomes.filter(({ step, begun }) => begun > last && steps.includes(step));
  }

  /** Refusals of the servers that are none of an outage: those say when to come again. Answers to links are the store's own. */
  get wrongs(): Outcome[] {
    return this.outcomes.filter(({ step, status, code, retryAfter }) => {
      if (step === 'link' || status === 0 || isSuccess({ status })) return false;
      const known = status === 503 || code === 'idempotency_in_progress';
      return !known || !(Number(retryAfter) > 0);
    });
  }

  /** Stops, does again what was not acknowledged, until it is, and then asks for everything, bytes and all. */
  async expectKept(): Promise<void> {
    await this.stop();
    await eachOf([...this.#unfinished], async (upload) => {
      await eventually(async () => {
        if (!(await this.#advance(upload))) throw new Error(`not acknowledged: ${JSON.stringify(this.outcomes.at(-1))}`);
      }, WAIT_MS);
    });
    await eachOf([...this.#acknowledged], ([id, kept], index) => this.#expectStored(this.#api(index), id, kept));
    // What was asked for again, because its first answer was lost, was not made twice.
    expect((await allIds(this.#api(0))).filter((id) => !this.#acknowledged.has(id))).toEqual([]);
    expect(this.wrongs).toEqual([]);
  }

  async #expectStored(api: ApiClient, id: string, { strategy, sha256, size }: Kept): Promise<void> {
    await eventually(async () => expect(await api.settled(id)).toMatchObject({ id, strategy, state: 'stored', sha256, size }), WAIT_MS);
    expect([id, await api.contentDigest(id)]).toEqual([id, { status: 200, sha256, size }]);
  }

  async #lane(strategy: LoadStrategy): Promise<void> {
    while (!this.#stopped) {
      const count = this.#uploads++;
      const upload = new LoadUpload(strategy, `${this.#seed}-${count}`, sizeOf(count));
      this.#unfinished.add(upload);
      await this.#advance(upload);
      await pause(PACE_MS);
    }
  }

  /** False when a step did not succeed: the upload goes on from there the next time, at another server. */
  async #advance(upload: LoadUpload): Promise<boolean> {
    const id = await upload.advance(this.#api(this.#begun), this.#ask);
    if (id === null) return false;
    this.#unfinished.delete(upload);
    const { strategy, file } = upload;
    this.#acknowledged.set(id, { strategy, size: file.size, sha256: await file.sha256() });
    return true;
  }

  readonly #ask: Ask = async (step, send) => {
    this.#begun += 1;
    const { outcome, answer } = await outcomeOf(step, this.#begun, send);
    this.outcomes.push(outcome);
    return answer;
  };

  #api(index: number): ApiClient {
    return this.#apis[index % this.#apis.length] as ApiClient;
  }
}

const isSuccess = ({ status }: Pick<Outcome, 'status'>): boolean => status >= 200 && status < 300;

const fewerThan = (count: number, steps: readonly LoadStep[], outcomes: readonly Outcome[]): LoadStep[] =>
  steps.filter((one) => outcomes.filter(({ step }) => step === one).length < count);

/** One large file among many small ones, for each lane alike. */
const sizeOf = (count: number): number => SIZES[Math.floor(count / STRATEGIES.length) % SIZES.length] ?? 1;
