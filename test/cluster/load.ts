import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { ROOT } from '../charts/helm.ts';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { digestOf } from '../support/random-file.ts';
import { applied, follow, IMAGE, isFerret, kubectl, RESTRICTED, TRIAL_TOKEN } from './cluster.ts';
import { ROLLOUT } from './rollout-terms.ts';

/** One upload of load.mjs. */
export interface Attempt {
  lane: string;
  strategy: 'direct' | 'relay' | 'presign';
  begun: string;
  ended: string;
  ok: boolean;
  /** Of what was acknowledged. */
  id: string;
  size: number;
  sha256: string;
  /** Of what was not; 0 where no answer came. */
  status: number;
  problem: string;
}

const LANES = ['direct', 'relay', 'presign', 'slow direct', 'slow relay'];
const POD = 'load';
const LATE_DATABASE = /The database did not answer/;
const WAIT_MS = ROLLOUT.patienceMs;

/** The load of load.mjs in a pod, and all that came of it. */
export class ClusterLoad implements AsyncDisposable {
  readonly #namespace: string;
  #seen = 0;
  readonly #tolerated: Attempt[] = [];
  readonly #output: AsyncDisposable & { lines: string[] };

  private constructor(namespace: string) {
    this.#namespace = namespace;
    this.#output = follow(namespace, POD);
  }

  /** Resolves when every lane has uploaded something. */
  static async start(namespace: string): Promise<ClusterLoad> {
    const source = await readFile(join(ROOT, 'test/cluster/load.mjs'), 'utf8');
    const env = [
      { name: 'WINDLASS_URL', value: 'http://up-windlass' },
      { name: 'WINDLASS_TOKEN', value: TRIAL_TOKEN },
      { name: 'STORE_ADDRESS', value: 'up-dev-minio:9000' },
      { name: 'TERMS', value: JSON.stringify(ROLLOUT.load) },
    ];
    const command = ['node', '--input-type=module', '--eval', source];
    const container = { name: POD, image: IMAGE, command, env, securityContext: RESTRICTED.container };
    const spec = { securityContext: RESTRICTED.pod, restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers: [container] };
    await applied(namespace, [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: POD }, spec }]);
    await kubectl('--namespace', namespace, 'wait', '--for=condition=Ready', `pod/${POD}`, '--timeout=60s');
    const load = new ClusterLoad(namespace);
    await load.works();
    return load;
  }

  get attempts(): Attempt[] {
    return this.#output.lines.map((line) => JSON.parse(line));
  }

  get acknowledged(): Attempt[] {
    return this.attempts.filter(({ ok }) => ok);
  }

  /** What failed since it was last asked. */
  allNewFailures(): Attempt[] {
    const ended = this.attempts;
    const failures = ended.slice(this.#seen).filter(({ ok }) => !ok);
    this.#seen = ended.length;
    return failures;
  }

  /**
   * The same where nobody has touched the database. One that is not MongoDB itself, on a machine that has much else to do,
   * may not answer in time: not what is tried here. These are in `tolerated`.
   */
  newFailures(): Attempt[] {
    const failures = this.allNewFailures();
    const isLate = ({ problem }: Attempt): boolean => isFerret && LATE_DATABASE.test(problem);
    this.#tolerated.push(...failures.filter(isLate));
    return failures.filter((attempt) => !isLate(attempt));
  }

  /** Failures that `newFailures` left out. */
  get tolerated(): readonly Attempt[] {
    return this.#tolerated;
  }

  /** Resolves when what each lane is at has ended. */
  settled(): Promise<void> {
    return this.#oneMoreOf(() => this.attempts);
  }

  /** Every lane has an upload acknowledged, from now on. */
  works(): Promise<void> {
    return this.#oneMoreOf(() => this.acknowledged);
  }

  async #oneMoreOf(some: () => Attempt[]): Promise<void> {
    const countOf = (lane: string): number => some().filter((attempt) => attempt.lane === lane).length;
    const before = new Map(LANES.map((lane) => [lane, countOf(lane)]));
    await eventually(() => expect(LANES.filter((lane) => countOf(lane) === before.get(lane))).toEqual([]), WAIT_MS);
  }

  /** Ends when what is under way has come to its end. */
  async stop(): Promise<void> {
    await kubectl('--namespace', this.#namespace, 'exec', POD, '--', 'node', '--eval', "process.kill(1, 'SIGUSR2')");
    const done = '--for=jsonpath={.status.phase}=Succeeded';
    await kubectl('--namespace', this.#namespace, 'wait', done, `pod/${POD}`, `--timeout=${WAIT_MS / 1000}s`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#output[Symbol.asyncDispose]();
  }
}

const AT_ONCE = 6;

/** Every upload that was acknowledged is there, byte for byte. */
export async function expectReadable(url: string, acknowledged: readonly Attempt[]): Promise<void> {
  const client = new ApiClient(url, { token: TRIAL_TOKEN });
  const waiting = acknowledged.values();
  const lane = async (): Promise<void> => {
    for (const { id, size, sha256, strategy } of waiting) {
      // A database that answers late says so, and to come again.
      await eventually(async () => {
        expect(await client.settled(id)).toMatchObject({ id, strategy, state: 'stored', size, sha256, error: null });
        const content = await client.fetch(`/v1/uploads/${id}/content?stream=1`);
        if (content.status !== 200) throw new Error(`${id} was answered ${content.status}: ${await content.text()}`);
        expect([id, content.body && (await digestOf(content.body))]).toEqual([id, { size, sha256 }]);
      }, WAIT_MS);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}
