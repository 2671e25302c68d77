import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { atomicMongo } from './atomic-mongo.ts';
import {
  applied,
  forward,
  IMAGE,
  install,
  kubectl,
  RESTRICTED,
  restrictedNamespace,
  TRIAL_TOKEN,
  upgrade,
  withCluster,
} from './cluster.ts';

const MINUTES = 60_000;
const NAMESPACE = 'windlass-keda';
/** More than one worker is through with before an autoscaler has looked twice. */
const UPLOADS = 120;

/** A way to the store on which every answer takes its time: workers are slow, and idle meanwhile. */
const SLOW_STORE = `
import { connect, createServer } from 'node:net';
process.on('SIGTERM', () => process.exit(0));
createServer((client) => {
  const store = connect(9000, 'up-dev-minio');
  for (const [one, other] of [[client, store], [store, client]]) one.on('error', () => undefined).on('close', () => other.destroy());
  client.pipe(store);
  store.on('data', (chunk) => setTimeout(() => client.destroyed || client.write(chunk), 1500));
}).listen(9000, '0.0.0.0');
`;

async function slowStore(): Promise<string[]> {
  const name = 'slow-store';
  const labels = { 'app.kubernetes.io/instance': 'up', app: name };
  const command = ['node', '--input-type=module', '--eval', SLOW_STORE];
  const container = { name, image: IMAGE, command, securityContext: RESTRICTED.container };
  const spec = { securityContext: RESTRICTED.pod, enableServiceLinks: false, terminationGracePeriodSeconds: 1, containers: [container] };
  await applied(NAMESPACE, [
    { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec },
    { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: { app: name }, ports: [{ port: 9000 }] } },
  ]);
  return [
    'bucket=windlass',
    `endpoint=http://${name}:9000`,
    'existingSecret=up-dev',
    'accessKeyIdKey=s3-access-key-id',
    'secretAccessKeyKey=s3-secret-access-key',
  ].map((value) => `externalS3.${value}`);
}

const SCALING = [
  'relay.keda.enabled=true',
  'relay.keda.maxReplicas=4',
  'relay.keda.jobsPerReplica=5',
  'relay.keda.pollingInterval=2',
  'relay.keda.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds=0',
];
const SMALL = [
  'api.replicas=1',
  'relay.concurrency=1',
  // KEDA asks RabbitMQ from its own namespace.
  'devStack.networkPolicy=false',
];

const workers = async (): Promise<number> => {
  const { stdout } = await kubectl(
    '--namespace',
    NAMESPACE,
    'get',
    'deployment/up-windlass-relay',
    '--output=jsonpath={.status.readyReplicas}',
  );
  return Number(stdout);
};

/** KEDA itself, not only its types: it answers autoscalers what the metrics of others are. */
const kedaIsThere = (): boolean =>
  ['/apis/keda.sh/v1alpha1', '/apis/external.metrics.k8s.io/v1beta1'].every(
    (path) => spawnSync(process.env.TEST_KUBECTL ?? 'kubectl', ['get', '--raw', path], { timeout: 15_000 }).status === 0,
  );

withCluster(() => {
  (kedaIsThere() ? test : test.skip)(
    'with KEDA there are as many workers as the queue is long, and one when it is empty; none is taken from its job',
    async () => {
      await using _ = await restrictedNamespace(NAMESPACE);
      const mongo = await atomicMongo(NAMESPACE);
      const values = [...mongo, ...[...SMALL, ...(await slowStore())].flatMap((value) => ['--set', value])];
      await install(NAMESPACE, ...values);
      // Only now: KEDA connects at once, and until a Service of the same moment is known to the node its address belongs to
      // nobody. Where something answers for such addresses, KEDA would stay with that connection.
      await upgrade(NAMESPACE, ...values, ...SCALING.flatMap((value) => ['--set', value]));
      await eventually(async () => expect(await workers()).toBe(1), MINUTES);

      await using api = await forward(NAMESPACE, 'service/up-windlass', 80);
      const client = new ApiClient(api.url, { token: TRIAL_TOKEN });
      const accepted = await Promise.all(Array.from({ length: UPLOADS }, (_, index) => client.raw('relay', `file ${index}`)));
      expect(accepted.filter(({ status }) => status !== 202)).toEqual([]);
      await eventually(async () => expect(await workers()).toBe(4), 3 * MINUTES);
      for (const { body } of accepted)
        await eventually(async () => expect(await client.settled(body.id)).toMatchObject({ state: 'stored', attempts: 1 }), MINUTES);
      await eventually(async () => expect(await workers()).toBe(1), 3 * MINUTES);
    },
    8 * MINUTES,
  );
});
