import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CHART, ROOT } from '../charts/helm.ts';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import type { Inside } from '../support/server-elsewhere.ts';
import { atomicMongo } from './atomic-mongo.ts';
import {
  applied,
  DEV_IMAGES,
  forward,
  helm,
  IMAGE,
  imageValues,
  kubectl,
  restrictedNamespace,
  SMALL_REQUESTS,
  TRIAL_TOKEN,
  withCluster,
} from './cluster.ts';

const MINUTES = 60_000;
const NAMESPACE = 'windlass-production';
/** Where the ports of nodes are reached. */
const NODE = process.env.TEST_NODE_ADDRESS ?? '127.0.0.1';
/** The port of each node that leads to the API. */
const PORT = Number(process.env.TEST_NODE_PORT ?? 30_499);
/** The contract, by all strategies. What is not here needs settings of its own, or servers that it may kill. */
const HTTP_SUITES = ['direct', 'relay', 'presign', 'multipart', 'content', 'resources', 'lists', 'idempotency', 'problems', 'cors'].map(
  (name) => `test/http/contract-${name}.test.ts`,
);
/** As the suites start their own servers. */
const HTTP_SETTINGS = [
  'COMPLETE_WAIT_SECONDS=20',
  'SINGLE_PART_BYTES=1MiB',
  'PART_BYTES=5MiB',
  'RETRY_BASE_SECONDS=0',
  'OUTBOX_INTERVAL_SECONDS=1',
  'RECONCILE_INTERVAL_SECONDS=5',
  'ORPHAN_GRACE_SECONDS=5',
  'CORS_ORIGINS=https://app.example.com\\,https://other.example.com',
].map((setting) => `settings.${setting}`);

const inNamespace = (...args: string[]) => kubectl('--namespace', NAMESPACE, ...args);
const sets = (values: readonly string[]): string[] => values.flatMap((value) => ['--set', value]);
const installed = (release: string, chart: string, values: readonly string[]) =>
  helm('install', release, chart, '--namespace', NAMESPACE, ...sets(values), '--wait', '--timeout', '200s');

const uninstalled = () => helm('uninstall', 'up', '--namespace', NAMESPACE, '--wait', '--timeout', '200s');
const VOLUMES_OF_PODS = ['direct', 'spool'].flatMap((area) => [0, 1].map((pod) => `persistentvolumeclaim/${area}-up-windlass-api-${pod}`));

async function nodePort(service: string): Promise<string> {
  const { stdout } = await inNamespace('get', `service/${service}`, '--output=jsonpath={.spec.ports[0].nodePort}');
  return `http://${NODE}:${stdout}`;
}

const clientOf = async (service: string): Promise<ApiClient> => new ApiClient(await nodePort(service), { token: TRIAL_TOKEN });

/** A direct upload that lies on the disk of one pod; its id. */
async function onDiskOf(pod: string): Promise<string> {
  await using api = await forward(NAMESPACE, `pod/${pod}`, 8080);
  const { body } = await new ApiClient(api.url, { token: TRIAL_TOKEN }).raw('direct', 'on a disk');
  expect(body.location).toMatchObject({ node: pod });
  return body.id;
}

/** What is there of the release, by kind and name; finished pods of Helm's hooks are not, which go by themselves or with the next. */
async function leftBy(release: string): Promise<string[]> {
  const kinds =
    'all,configmap,secret,serviceaccount,poddisruptionbudget,networkpolicy,ingress,cronjob,pvc,endpointslice,horizontalpodautoscaler';
  const { stdout } = await inNamespace('get', kinds, '--output=name', `--selector=app.kubernetes.io/instance=${release}`);
  return stdout
    .split('\n')
    .filter((name) => name && !/provision|test-uploads/.test(name))
    .sort();
}

/** The keys to the store for trials. */
async function credentials(secret: string): Promise<{ accessKeyId: string; secretAccessKey: string }> {
  const { stdout } = await inNamespace('get', `secret/${secret}`, '--output=json');
  const { data } = JSON.parse(stdout) as { data: Record<string, string> };
  const keyOf = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
  return { accessKeyId: keyOf('s3-access-key-id'), secretAccessKey: keyOf('s3-secret-access-key') };
}

withCluster(() => {
  describe('a release on servers that are not its own', () => {
    let removal: AsyncDisposable;
    let values: string[];
    beforeAll(async () => {
      removal = await restrictedNamespace(NAMESPACE);
      await installed('servers', join(CHART, 'charts/windlass-dev'), [
        'enabled=true',
        ...DEV_IMAGES.map((value) => value.replace(/^devStack\./, '')),
      ]);
      const mongo = await atomicMongo(NAMESPACE, 'servers');
      // Clients reach the store from outside, too.
      const ports = [{ name: 's3', port: 9000 }];
      const selector = { 'app.kubernetes.io/instance': 'servers', 'app.kubernetes.io/component': 'minio' };
      await applied(NAMESPACE, [
        { apiVersion: 'v1', kind: 'Service', metadata: { name: 'store' }, spec: { type: 'NodePort', selector, ports } },
      ]);
      values = [
        ...imageValues('image', IMAGE),
        `publicUrl=http://${NODE}:${PORT}`,
        'service.type=NodePort',
        `service.nodePort=${PORT}`,
        ...(mongo.length > 0
          ? mongo.filter((value) => value !== '--set')
          : ['externalMongodb.existingSecret=servers-dev', 'externalMongodb.uriKey=mongodb-uri']),
        'externalRabbitmq.existingSecret=servers-dev',
        'externalRabbitmq.urlKey=rabbitmq-url',
        'externalS3.bucket=windlass',
        'externalS3.endpoint=http://servers-dev-minio:9000',
        `externalS3.publicEndpoint=${await nodePort('store')}`,
        'externalS3.existingSecret=servers-dev',
        'externalS3.accessKeyIdKey=s3-access-key-id',
        'externalS3.secretAccessKeyKey=s3-secret-access-key',
        'tokens.existingSecret=servers-dev',
        'internal.existingSecret=servers-dev',
        'api.shutdown.preStopSeconds=1',
        'api.shutdown.delaySeconds=1',
        ...SMALL_REQUESTS,
        ...HTTP_SETTINGS,
      ];
      await installed('up', CHART, values);
    }, 6 * MINUTES);
    afterAll(async () => removal[Symbol.asyncDispose]());

    test(
      'keeps the HTTP contract by the port of a node, whichever server answers',
      async () => {
        const s3 = { endpoint: await nodePort('store'), ...(await credentials('servers-dev')) };
        const inside: Inside = { namespace: NAMESPACE, pods: ['up-windlass-api-0', 'up-windlass-api-1'], s3, bucket: 'windlass' };
        const env = {
          ...process.env,
          TEST_WINDLASS_URL: await nodePort('up-windlass'),
          TEST_WINDLASS_TOKEN: TRIAL_TOKEN,
          TEST_WINDLASS_INSIDE: JSON.stringify(inside),
        };
        const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
        const args = [...jest, '--runInBand', '--forceExit', '--testTimeout=90000', ...HTTP_SUITES];
        const options = { cwd: ROOT, env, maxBuffer: 64 * 1024 ** 2, timeout: 5 * MINUTES };
        const { stderr } = await promisify(execFile)(process.execPath, args, options).catch((error: { stderr: string }) => error);
        expect(stderr).not.toMatch(/^ {2}●/m);
        expect(stderr).toMatch(new RegExp(`^Test Suites: ${HTTP_SUITES.length} passed`, 'm'));
      },
      6 * MINUTES,
    );

    test(
      'is removed but for its volumes; installed again it has every file',
      async () => {
        const client = await clientOf('up-windlass');
        const direct = await Promise.all(['up-windlass-api-0', 'up-windlass-api-1'].map(onDiskOf));
        const relayed = await client.raw('relay', 'relayed');
        const presigned = await client.presigned('presigned');
        expect((await client.settled(relayed.body.id)).state).toBe('stored');

        await uninstalled();
        await eventually(async () => expect(await leftBy('up')).toEqual(VOLUMES_OF_PODS), 2 * MINUTES);

        await installed('up', CHART, values);
        const again = await clientOf('up-windlass');
        for (const id of direct) expect(await eventually(() => again.content(id))).toBe('on a disk');
        expect([await again.content(relayed.body.id), await again.content(presigned.id)]).toEqual(['relayed', 'presigned']);
      },
      5 * MINUTES,
    );

    test(
      'with one volume for all servers it leaves that, too, and finds it again',
      async () => {
        await uninstalled();
        const onOneVolume = [...values, 'storage.mode=Shared', 'storage.shared.accessModes[0]=ReadWriteOnce'];
        await installed('up', CHART, onOneVolume);
        const client = await clientOf('up-windlass');
        const { body } = await client.raw('direct', 'on a drive');
        expect(body.location).toMatchObject({ node: 'up-windlass-api' });
        const relayed = await client.raw('relay', 'relayed');
        expect((await client.settled(relayed.body.id)).state).toBe('stored');
        expect((await client.presigned('presigned')).state).toBe('stored');

        await uninstalled();
        const left = [...VOLUMES_OF_PODS, 'persistentvolumeclaim/up-windlass-files'].sort();
        await eventually(async () => expect(await leftBy('up')).toEqual(left), 2 * MINUTES);

        await installed('up', CHART, onOneVolume);
        const again = await clientOf('up-windlass');
        expect(await eventually(() => again.content(body.id))).toBe('on a drive');
      },
      5 * MINUTES,
    );
  });
});
