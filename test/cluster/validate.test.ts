import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ciFile, ciFiles, type KubeObject, objectsIn, ROOT, render } from '../charts/helm.ts';
import { UNUSUAL } from '../charts/unusual-values.ts';
import { applied, kubectl, restrictedNamespace, withCluster } from './cluster.ts';

/** What the API server says to objects: nothing is made but the service accounts, which pods must find. */
async function judged(namespace: string, objects: KubeObject[]): Promise<{ stdout: string; stderr: string }> {
  const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount');
  if (accounts.length > 0) await applied(namespace, accounts);
  return applied(namespace, objects, '--dry-run=server');
}

withCluster(() => {
  const known = async (objects: KubeObject[]): Promise<KubeObject[]> => {
    const versions = (await kubectl('api-versions')).stdout.split('\n');
    const unknown = objects.filter(({ apiVersion }) => !versions.includes(apiVersion));
    if (unknown.length > 0) console.log(`This cluster does not know ${unknown.map(({ kind }) => kind).join(', ')}: left out.`);
    return objects.filter(({ apiVersion }) => versions.includes(apiVersion));
  };

  test.each(ciFiles())(
    'the API server takes every object of %s, restricted and without a warning',
    async (name) => {
      const namespace = `windlass-judges-${name.replace(/-values.*$/, '')}`;
      await using _ = await restrictedNamespace(namespace);
      const objects = await known(render(ciFile(name)));
      const { stdout, stderr } = await judged(namespace, objects);
      expect(stderr).toBe('');
      expect(stdout.trim().split('\n')).toHaveLength(objects.length);
    },
    60_000,
  );

  test(
    'the API server takes every object of unusual values, restricted and without a warning',
    async () => {
      const namespace = 'windlass-judges-unusual';
      await using _ = await restrictedNamespace(namespace);
      const judgements = [];
      for (const { about, release, values } of UNUSUAL) {
        const objects = await known(render(values, { release }));
        const words = await judged(namespace, objects).catch((error: { stderr: string }) => error);
        judgements.push([about, words.stderr]);
      }
      expect(judgements).toEqual(UNUSUAL.map(({ about }) => [about, '']));
    },
    4 * 60_000,
  );

  test.each(['small-trial', 'production'])(
    'the API server takes every object of the overlay %s',
    async (name) => {
      await using _ = await restrictedNamespace('windlass');
      const { stdout } = await kubectl('kustomize', join(ROOT, 'k8s/overlays', name));
      const { stderr } = await judged('windlass', objectsIn(stdout));
      expect(stderr).toBe('');
    },
    60_000,
  );
});
