import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { atomicMongo } from './atomic-mongo.ts';
import { helm, install, kubectl, restrictedNamespace, withCluster } from './cluster.ts';

const MINUTES = 60_000;

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
