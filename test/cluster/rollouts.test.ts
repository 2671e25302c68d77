import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { atomicMongo } from './atomic-mongo.ts';
import {
  follow,
  forward,
  imageValues,
  install,
  kubectl,
  NEXT_IMAGE,
  PATIENCE,
  restrictedNamespace,
  rolledOut,
  TRIAL_TOKEN,
  upgrade,
  withCluster,
} from './cluster.ts';
import { type Attempt, ClusterLoad, expectReadable } from './load.ts';
import { ROLLOUT } from './rollout-terms.ts';

const MINUTES = PATIENCE * 300;
const NAMESPACE = 'windlass-rollouts';
const REPLICAS = ROLLOUT.replicas;
const API = 'statefulset/up-windlass-api';
const WORKERS = 'deployment/up-windlass-relay';
const VALUES = [
  `api.replicas=${ROLLOUT.replicas}`,
  'api.shutdown.preStopSeconds=3',
  'api.shutdown.delaySeconds=3',
  `api.shutdown.graceSeconds=${ROLLOUT.graceSeconds}`,
  `api.shutdown.handOverSeconds=${ROLLOUT.handOverSeconds}`,
  `api.terminationGracePeriodSeconds=${ROLLOUT.terminationSeconds}`,
  // Reconcilers that soon take what lies there for lost: none of it may be what somebody is at.
  'settings.RECONCILE_INTERVAL_SECONDS=45',
  'settings.ORPHAN_GRACE_SECONDS=60',
].flatMap((value) => ['--set', value]);
const NEXT_VALUES = [...imageValues('image', NEXT_IMAGE), 'settings.LOG_LEVEL=debug'].flatMap((value) => ['--set', value]);

const inNamespace = (...args: string[]) => kubectl('--namespace', NAMESPACE, ...args);

const podsOf = async (component: string): Promise<string[]> => {
  const selector = `--selector=app.kubernetes.io/name=windlass,app.kubernetes.io/component=${component}`;
  const { stdout } = await inNamespace('get', 'pods', selector, '--output=jsonpath={.items[*].metadata.name}');
  return stdout.split(' ').filter(Boolean).sort();
};

/** Changes the number of pods, and waits until those that are too many have gone. */
async function scale(component: 'api' | 'relay', replicas: number): Promise<void> {
  const workload = component === 'api' ? API : WORKERS;
  await inNamespace('scale', workload, `--replicas=${replicas}`);
  await rolledOut(NAMESPACE, workload);
  await eventually(async () => expect(await podsOf(component)).toHaveLength(replicas), 2 * MINUTES);
}

/** Deletes pods, waits until they have gone and their workload has others. */
async function replace(workload: string, ...pods: string[]): Promise<void> {
  await inNamespace('delete', 'pod', ...pods);
  await rolledOut(NAMESPACE, workload);
}

async function nextVersion(mongo: readonly string[]): Promise<void> {
  await upgrade(NAMESPACE, ...mongo, ...VALUES, ...NEXT_VALUES);
  for (const workload of [API, WORKERS]) await rolledOut(NAMESPACE, workload);
}

async function auditProblems(): Promise<object[]> {
  const command = ['node', 'bin/windlass.js', 'audit', '--json'];
  const { stdout } = await inNamespace('exec', 'up-windlass-api-0', '--container=api', '--', ...command);
  return JSON.parse(stdout).problems;
}

/** Uploads to be relayed that lie on the disk of one pod; their ids. */
async function spooledAt(pod: string): Promise<string[]> {
  await using api = await forward(NAMESPACE, `pod/${pod}`, 8080);
  const client = new ApiClient(api.url, { token: TRIAL_TOKEN });
  const accepted = await Promise.all(['one', 'another', 'a third'].map((bytes) => client.raw('relay', bytes)));
  expect(accepted.map(({ status }) => status)).toEqual([202, 202, 202]);
  return accepted.map(({ body }) => body.id);
}

withCluster(() => {
  describe('under load', () => {
    let removal: AsyncDisposable;
    let mongo: string[];
    let load: ClusterLoad;
    beforeAll(async () => {
      removal = await restrictedNamespace(NAMESPACE);
      mongo = await atomicMongo(NAMESPACE);
      await install(NAMESPACE, ...mongo, ...VALUES);
      load = await ClusterLoad.start(NAMESPACE);
    }, 5 * MINUTES);
    afterAll(async () => {
      await load?.[Symbol.asyncDispose]();
      await removal[Symbol.asyncDispose]();
    }, MINUTES);

    // An upload that is cut may end, and so be told of, in the next of these.
    test.each<[string, () => Promise<unknown>]>([
      ['an upgrade to another version', () => nextVersion(mongo)],
      ['one server more, and one less', () => scale('api', REPLICAS + 1).then(() => scale('api', REPLICAS))],
      ['two workers more, and all but one less', () => scale('relay', 4).then(() => scale('relay', 1))],
      [
        'a server and the only worker that are deleted',
        async () => Promise.all([replace(API, 'up-windlass-api-0'), replace(WORKERS, ...(await podsOf('relay')))]),
      ],
      ['a queue that is deleted', () => replace('statefulset/up-dev-rabbitmq', 'up-dev-rabbitmq-0').then(() => load.settled())],
    ])(
      'no upload fails by %s',
      async (_, change) => {
        await change();
        expect(load.newFailures()).toEqual([]);
      },
      5 * MINUTES,
    );

    test(
      'a store that is deleted fails presigned uploads only',
      async () => {
        await replace('statefulset/up-dev-minio', 'up-dev-minio-0');
        await load.works();
        expect(load.newFailures().filter(({ strategy }) => strategy !== 'presign')).toEqual([]);
      },
      3 * MINUTES,
    );

    test(
      'a database that is deleted is told as such',
      async () => {
        await replace('statefulset/up-dev-mongodb', 'up-dev-mongodb-0');
        await load.works();
        expect(load.allNewFailures().filter(({ status }) => status !== 503)).toEqual([]);
      },
      3 * MINUTES,
    );

    test(
      'servers that are killed all at once fail what they were at, and come back',
      async () => {
        await replace(API, ...(await podsOf('api')), '--grace-period=0', '--force');
        await load.works();
        expect(load.allNewFailures().filter(({ status }) => status !== 0 && status !== 503)).toEqual([]);
      },
      3 * MINUTES,
    );

    test(
      'everything that was acknowledged can be read, and the audit finds no problem',
      async () => {
        await load.stop();
        // Direct files stay with the volume of the server that took them: one was taken away.
        await scale('api', REPLICAS + 1);
        const { acknowledged } = load;
        for (const attempt of load.tolerated) process.stderr.write(`Tolerated, as the database was late: ${JSON.stringify(attempt)}\n`);
        expect(strategiesOf(acknowledged)).toEqual(['direct', 'presign', 'relay']);
        await using api = await forward(NAMESPACE, 'service/up-windlass', 80);
        await expectReadable(api.url, acknowledged);
        await eventually(async () => expect(await auditProblems()).toEqual([]), 2 * MINUTES);
      },
      6 * MINUTES,
    );

    // Not with so little time that it has to go before.
    (ROLLOUT.handOverSeconds >= 60 ? test : test.skip)(
      'a server that is scaled away goes when workers have fetched what lies in its spool',
      async () => {
        await scale('relay', 0);
        const [last = '', stay] = [(await podsOf('api')).at(-1), (await podsOf('api')).slice(0, -1)];
        const ids = await spooledAt(last);
        await inNamespace('scale', API, `--replicas=${REPLICAS}`);
        await using leaving = follow(NAMESPACE, last, '--container=api');
        await eventually(() => expect(leaving.lines.join('\n')).toContain('waiting until workers have fetched'), 2 * MINUTES);
        expect(await podsOf('api')).toContain(last);
        await scale('relay', 1);
        await eventually(async () => expect(await podsOf('api')).toEqual(stay), 2 * MINUTES);
        await using api = await forward(NAMESPACE, 'service/up-windlass', 80);
        const client = new ApiClient(api.url, { token: TRIAL_TOKEN });
        for (const id of ids) expect(await client.settled(id)).toMatchObject({ state: 'stored' });
      },
      6 * MINUTES,
    );
  });
});

const strategiesOf = (attempts: readonly Attempt[]): string[] => [...new Set(attempts.map(({ strategy }) => strategy))].sort();
