import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { atomicMongo } from './atomic-mongo.ts';
import { forward, install, kubectl, restrictedNamespace, rolledOut, TRIAL_TOKEN, withCluster } from './cluster.ts';
import { ClusterLoad, expectReadable } from './load.ts';

const MINUTES = 60_000;
const NAMESPACE = 'windlass-spread';
const API = 'statefulset/up-windlass-api';
const VALUES = [
  'direct.placement=rendezvous',
  'direct.backup=true',
  'api.replicas=3',
  'api.shutdown.preStopSeconds=3',
  'api.shutdown.delaySeconds=3',
  'api.shutdown.graceSeconds=30',
  'settings.REBALANCE_INTERVAL_SECONDS=5',
  'settings.RECONCILE_INTERVAL_SECONDS=20',
  'settings.ORPHAN_GRACE_SECONDS=30',
].flatMap((value) => ['--set', value]);

const inNamespace = (...args: string[]) => kubectl('--namespace', NAMESPACE, ...args);
const server = (index: number): string => `up-windlass-api-${index}`;

/** A command of the command line in the first server's pod. What it has written counts, not how it ended. */
async function windlass(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const command = ['exec', server(0), '--container=api', '--', 'node', 'bin/windlass.js', ...args];
  return inNamespace(...command).catch((error: { stdout?: string; stderr?: string }) => ({
    stdout: error.stdout ?? '',
    stderr: error.stderr ?? '',
  }));
}

async function report<T>(...args: string[]): Promise<T> {
  const { stdout, stderr } = await windlass(...args, '--json');
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Changes the number of servers, and waits until those that are too many have gone. */
async function scale(replicas: number): Promise<void> {
  await inNamespace('scale', API, `--replicas=${replicas}`);
  await rolledOut(NAMESPACE, API);
  const selector = '--selector=app.kubernetes.io/name=windlass,app.kubernetes.io/component=api';
  const pods = async () => (await inNamespace('get', 'pods', selector, '--output=name')).stdout.trim().split('\n');
  await eventually(async () => expect(await pods()).toHaveLength(replicas), 2 * MINUTES);
}

/** Until nothing is left there: an upload that began before may arrive after a first run. */
const drained = (index: number): Promise<void> =>
  eventually(async () => expect(await report('drain', server(index))).toMatchObject({ left: 0 }), 2 * MINUTES);

withCluster(() => {
  describe('direct files on the volumes of all servers', () => {
    let removal: AsyncDisposable;
    let load: ClusterLoad;
    beforeAll(async () => {
      removal = await restrictedNamespace(NAMESPACE);
      const mongo = await atomicMongo(NAMESPACE);
      await install(NAMESPACE, ...mongo, ...VALUES);
      load = await ClusterLoad.start(NAMESPACE);
    }, 5 * MINUTES);
    afterAll(async () => {
      await load?.[Symbol.asyncDispose]();
      await removal[Symbol.asyncDispose]();
    }, MINUTES);

    const direct = () => load.acknowledged.filter(({ strategy }) => strategy === 'direct');

    async function placesOf(): Promise<Set<string | null | undefined>> {
      await using api = await forward(NAMESPACE, 'service/up-windlass', 80);
      const client = new ApiClient(api.url, { token: TRIAL_TOKEN });
      return new Set(await Promise.all(direct().map(async ({ id }) => (await client.upload(id)).body.location?.node)));
    }

    test(
      'go to servers that come, and leave those that were drained before they go, while no upload fails',
      async () => {
        await scale(5);
        await eventually(async () => expect([...(await placesOf())]).toEqual(expect.arrayContaining([server(3), server(4)])), MINUTES);
        await Promise.all([2, 3, 4].map(drained));
        await scale(2);
        await load.works();
        expect(load.newFailures()).toEqual([]);
      },
      4 * MINUTES,
    );

    test(
      'are all there in the end, byte for byte, on the servers that are left',
      async () => {
        await load.stop();
        expect(await placesOf()).toEqual(new Set([server(0), server(1)]));
        await using api = await forward(NAMESPACE, 'service/up-windlass', 80);
        await expectReadable(api.url, direct());
        await eventually(async () => expect(await report('audit')).toMatchObject({ problems: [] }), 2 * MINUTES);
      },
      4 * MINUTES,
    );

    test(
      'can be read from their backups when their server is taken away with them',
      async () => {
        await eventually(async () => expect(await report('backup', '--dry-run')).toMatchObject({ missing: 0 }), MINUTES);
        await scale(1);
        await using api = await forward(NAMESPACE, 'service/up-windlass', 80);
        await expectReadable(api.url, direct());
      },
      3 * MINUTES,
    );
  });
});
