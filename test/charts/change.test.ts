import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { startKubeApi } from '../support/kube-api.ts';
import { CHART, HELM, type KubeObject, render, withHelm } from './helm.ts';

const trial = { devStack: { enabled: true } };
const PLURALS: Record<string, string> = {
  StatefulSet: 'apis/apps/v1/namespaces/default/statefulsets',
  Deployment: 'apis/apps/v1/namespaces/default/deployments',
  PersistentVolumeClaim: 'api/v1/namespaces/default/persistentvolumeclaims',
};

/** What a release left in a cluster, by its address there. */
const installed = (values: object): Record<string, KubeObject> =>
  Object.fromEntries(
    render(values).flatMap((object) => {
      const place = PLURALS[object.kind];
      return place ? [[`/${place}/${object.metadata.name}`, object]] : [];
    }),
  );

/** Helm's words for an upgrade of what is there; empty when it has nothing against it. */
async function upgradeRefused(before: object, ...sets: string[]): Promise<string> {
  await using api = await startKubeApi(installed(before));
  const values = ['devStack.enabled=true', ...sets].flatMap((value) => ['--set', value]);
  const args = ['template', 'up', CHART, '--dry-run=server', '--is-upgrade', '--kube-version', '1.34.0', ...values];
  const env = { ...process.env, KUBECONFIG: api.kubeconfig };
  const failed = await promisify(execFile)(HELM, args, { env, maxBuffer: 64 * 1024 ** 2 }).catch((error: { stderr: string }) => error);
  return 'stdout' in failed && !('code' in failed) ? '' : failed.stderr;
}

withHelm(() => {
  describe('an upgrade', () => {
    const shared = { ...trial, storage: { mode: 'Shared', shared: { size: '1Gi', storageClassName: 'nfs' } } };
    const sameShared = ['storage.mode=Shared', 'storage.shared.storageClassName=nfs'];

    test.each<[string, object, string[]]>([
      ['storage.spool.size', trial, ['storage.spool.size=30Gi']],
      ['storage.direct.size', trial, ['storage.direct.size=10Gi']],
      ['storage.direct.storageClassName', trial, ['storage.direct.storageClassName=faster']],
      ['storage.mode', trial, ['storage.mode=Shared']],
      ['storage.mode', trial, ['storage.mode=None']],
      ['storage.mode', shared, ['storage.mode=PerPod']],
      ['storage.mode', shared, ['storage.mode=None']],
      ['storage.shared.size', shared, [...sameShared, 'storage.shared.size=500Mi']],
      ['storage.shared.storageClassName', shared, ['storage.mode=Shared', 'storage.shared.storageClassName=efs']],
      ['storage.shared.accessModes', shared, [...sameShared, 'storage.shared.accessModes[0]=ReadWriteOnce']],
      ['nameOverride', trial, ['fullnameOverride=up-windlass', 'nameOverride=files']],
    ])('to another %s, which cannot be changed, is refused by its name', async (key, before, sets) => {
      expect(await upgradeRefused(before, ...sets)).toContain(`: ${key}: `);
    });

    test.each<[string, object, string[]]>([
      ['nothing', trial, []],
      ['the same sizes in other words', trial, ['storage.spool.size=20480Mi', 'storage.direct.size=21474836480']],
      ['more servers and other resources', trial, ['api.replicas=5', 'api.resources.limits.memory=1Gi']],
      ['a larger shared volume', shared, [...sameShared, 'storage.shared.size=2Gi']],
      ['volumes where there were none', { ...trial, storage: { mode: 'None' } }, ['storage.mode=PerPod']],
      ['another strategy', trial, ['strategies={presign}']],
    ])('that changes %s is not', async (_, before, sets) => {
      expect(await upgradeRefused(before, ...sets)).toBe('');
    });
  });
});
