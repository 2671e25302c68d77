import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CHART, ROOT } from '../charts/helm.ts';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { atomicMongo } from './atomic-mongo.ts';
import {
  applied,
  follow,
  forward,
  helm,
  IMAGE,
  install,
  kubectl,
  RESTRICTED,
  restrictedNamespace,
  TRIAL_ARGS,
  withCluster,
} from './cluster.ts';

const MINUTES = 60_000;
const TOKEN = 'wl_trial-of-windlass-everyone-knows-this-token';

withCluster(() => {
  describe('a trial', () => {
    const namespace = 'windlass-trial';
    let removal: AsyncDisposable;
    let mongo: string[];
    beforeAll(async () => {
      removal = await restrictedNamespace(namespace);
      mongo = await atomicMongo(namespace);
      await install(namespace, ...mongo);
    }, 5 * MINUTES);
    afterAll(async () => removal[Symbol.asyncDispose]());

    test('is installed by one switch, and made what it needs', async () => {
      const { stdout } = await kubectl('--namespace', namespace, 'logs', 'job/up-windlass-provision', '--container', 'provision');
      for (const subject of ['index', 'queue', 'bucket']) expect(stdout).toMatch(new RegExp(`^(?:made|was there) +${subject}`, 'm'));
    });

    test(
      'helm test uploads by all three strategies',
      async () => {
        const { stdout } = await helm('test', 'up', '--namespace', namespace, '--logs', '--timeout', '120s');
        for (const strategy of ['direct', 'relay', 'presign']) expect(stdout).toContain(`ok      ${strategy}`);
      },
      3 * MINUTES,
    );

    test(
      'the CronJob finds nothing to put right',
      async () => {
        await kubectl('--namespace', namespace, 'create', 'job', 'now', '--from=cronjob/up-windlass-reconcile');
        await kubectl('--namespace', namespace, 'wait', '--for=condition=complete', 'job/now', '--timeout=90s');
        const { stdout } = await kubectl('--namespace', namespace, 'logs', 'job/now', '--container', 'reconcile');
        expect(stdout).toContain('check stored bytes: 0 found');
      },
      2 * MINUTES,
    );

    test(
      'an upgrade fails no upload, and loses none',
      async () => {
        await startUploader(namespace);
        await using uploads = follow(namespace, 'uploader');
        await eventually(() => expect(uploads.lines.length).toBeGreaterThan(1), MINUTES);
        const before = await podIds(namespace);
        await helm(
          'upgrade',
          'up',
          CHART,
          '--namespace',
          namespace,
          ...TRIAL_ARGS,
          ...mongo,
          '--set',
          'settings.LOG_LEVEL=debug',
          '--wait',
          '--timeout',
          '200s',
        );
        for (const workload of ['statefulset/up-windlass-api', 'deployment/up-windlass-relay'])
          await kubectl('--namespace', namespace, 'rollout', 'status', workload, '--timeout=200s');
        expect((await podIds(namespace)).filter((id) => before.includes(id))).toEqual([]);
        const sofar = uploads.lines.length;
        await eventually(() => expect(uploads.lines.length).toBeGreaterThan(sofar + 1), MINUTES);

        expect(uploads.lines.filter((line) => !line.startsWith('ok '))).toEqual([]);
        await expectReadable(namespace, uploads.lines);
      },
      8 * MINUTES,
    );

    test(
      'is removed, but for the volumes with files',
      async () => {
        await helm('uninstall', 'up', '--namespace', namespace, '--wait', '--timeout', '200s');
        const { stdout } = await kubectl(
          '--namespace',
          namespace,
          'get',
          'all,secret,configmap,pdb,networkpolicy,serviceaccount',
          '--output=name',
          '--selector=helm.sh/chart',
        );
        expect(stdout.split('\n').filter((name) => name && !/provision|test-uploads/.test(name))).toEqual([]);
        await eventually(async () => {
          const claims = await kubectl('--namespace', namespace, 'get', 'pvc', '--output=jsonpath={.items[*].metadata.name}');
          expect(claims.stdout.split(' ')).toEqual([
            'direct-up-windlass-api-0',
            'direct-up-windlass-api-1',
            'spool-up-windlass-api-0',
            'spool-up-windlass-api-1',
          ]);
        }, MINUTES);
      },
      4 * MINUTES,
    );
  });

  test.each([
    ['Shared', ['storage.shared.accessModes[0]=ReadWriteOnce'], ['direct', 'relay', 'presign']],
    ['None', [], ['presign', 'direct: refused']],
  ])(
    'helm test passes with storage.mode=%s',
    async (mode, values, expected) => {
      const namespace = `windlass-${mode.toLowerCase()}`;
      await using _ = await restrictedNamespace(namespace);
      await install(namespace, '--set', `storage.mode=${mode}`, ...values.flatMap((value) => ['--set', value]));
      const { stdout } = await helm('test', 'up', '--namespace', namespace, '--logs', '--timeout', '120s');
      for (const words of expected) expect(stdout).toContain(`ok      ${words}`);
      await helm('uninstall', 'up', '--namespace', namespace, '--wait', '--timeout', '200s');
    },
    8 * MINUTES,
  );
});

const podIds = async (namespace: string): Promise<string[]> => {
  const selector = '--selector=app.kubernetes.io/name=windlass,app.kubernetes.io/component in (api,relay)';
  const { stdout } = await kubectl('--namespace', namespace, 'get', 'pods', selector, '--output=jsonpath={.items[*].metadata.uid}');
  return stdout.split(' ');
};

async function startUploader(namespace: string): Promise<void> {
  const source = await readFile(join(ROOT, 'test/cluster/uploader.mjs'), 'utf8');
  const env = [
    { name: 'WINDLASS_URL', value: 'http://up-windlass' },
    { name: 'WINDLASS_TOKEN', value: TOKEN },
  ];
  const command = ['node', '--input-type=module', '--eval', source];
  const container = { name: 'uploader', image: IMAGE, command, env, securityContext: RESTRICTED.container };
  const spec = { securityContext: RESTRICTED.pod, restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers: [container] };
  await applied(namespace, [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'uploader' }, spec }]);
  await kubectl('--namespace', namespace, 'wait', '--for=condition=Ready', 'pod/uploader', '--timeout=60s');
}

/** Every upload that was acknowledged is there, byte for byte. */
async function expectReadable(namespace: string, lines: readonly string[]): Promise<void> {
  await using api = await forward(namespace, 'service/up-windlass', 80);
  const client = new ApiClient(api.url, { token: TOKEN });
  for (const line of lines) {
    const [, , id = '', sha256] = line.split(' ');
    expect(await client.settled(id)).toMatchObject({ id, state: 'stored', sha256, error: null });
    const content = await client.fetch(`/v1/uploads/${id}/content?stream=1`);
    expect([content.status, Buffer.from(await content.arrayBuffer()).length]).toEqual([200, 200_000]);
  }
}
