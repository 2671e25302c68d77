import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { SETTINGS } from '../../src/settings.ts';
import { HELM, objectsIn, ROOT, render, withHelm } from './helm.ts';
import { one } from './kube.ts';

const run = (command: string, args: string[]) => spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' });
const KUBECTL = process.env.TEST_KUBECTL ?? 'kubectl';

test('the README and the schema of the chart are in step with its values and with the settings', () => {
  expect(run(process.execPath, ['scripts/chart-pages.ts', '--check'])).toMatchObject({ stderr: '', status: 0 });
});

withHelm(() => {
  test('the plain manifests are in step with the chart', () => {
    expect(run(process.execPath, ['scripts/chart-manifests.ts', '--check', '--helm', HELM])).toMatchObject({ stderr: '', status: 0 });
  });

  test('the values in docs/operations.md are those of the chart', () => {
    const page = readFileSync(`${ROOT}docs/operations.md`, 'utf8');
    const examples = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text = '']) => parse(text));
    const [production, ...parts] = examples;
    expect(parts.length).toBeGreaterThan(1);
    for (const part of [{}, ...parts]) expect(render({ ...production, ...part }).length).toBeGreaterThan(10);
    const values = parse(readFileSync(`${ROOT}charts/windlass/values.yaml`, 'utf8'));
    const named = [...page.matchAll(/`([a-z][A-Za-z0-9]*(?:\.[A-Za-z0-9_]+)+)(?:: [^`]*)?`/g)].map(([, name = '']) => name.split('.'));
    const unknown = named.filter(([first = '', ...rest]) => {
      if (first === 'settings') return !(rest.join('.') in SETTINGS);
      return first in values && rest.reduce((at, key) => at?.[key], values[first]) === undefined;
    });
    expect(unknown).toEqual([]);
  });

  test('Skaffold sets values that the chart takes, and its own image', () => {
    const { build, deploy, portForward } = parse(readFileSync(`${ROOT}skaffold.yaml`, 'utf8'));
    const [{ name, chartPath, setValues, setValueTemplates, wait }] = deploy.helm.releases;
    expect([name, chartPath, build.artifacts[0].image]).toEqual(['up', 'charts/windlass', 'windlass']);
    // Hooks run as soon as Helm is done.
    expect([wait, deploy.helm.hooks.after]).toEqual([true, [{ host: { command: ['helm', 'test', name, '--logs'] } }]]);
    expect(Object.keys(setValueTemplates)).toEqual(['image.repository', 'image.tag']);
    expect(setValues).toEqual({ 'devStack.enabled': true });
    const objects = render({ devStack: { enabled: true }, image: { repository: 'localhost:5000/windlass', tag: 'abc' } });
    for (const { resourceName, port } of portForward)
      expect(one(objects, 'Service', resourceName).spec.ports).toContainEqual(expect.objectContaining({ port }));
  });
});

const hasKubectl = run(KUBECTL, ['version', '--client']).status === 0;
if (!hasKubectl) process.stderr.write('No kubectl here (TEST_KUBECTL names the binary): the overlays are not built.\n');

(hasKubectl ? test : test.skip).each(['small-trial', 'production'])('the overlay %s can be built', (name) => {
  const { stdout, stderr } = run(KUBECTL, ['kustomize', `k8s/overlays/${name}`]);
  expect(stderr).toBe('');
  const objects = objectsIn(stdout);
  const { spec } = one(objects, 'StatefulSet', 'windlass-api');
  const { data } = one(objects, 'ConfigMap', 'windlass');
  if (name === 'small-trial')
    expect(spec).toMatchObject({ replicas: 1, volumeClaimTemplates: [{ spec: { resources: { requests: { storage: '2Gi' } } } }, {}] });
  else {
    expect(spec).toMatchObject({ replicas: 3, template: { spec: { containers: [{ image: 'registry.example.com/windlass:0.1.0' }] } } });
    expect(data).toMatchObject({ PUBLIC_URL: 'https://uploads.example.com', MAX_UPLOAD_BYTES: '10GiB' });
    const used = new Set(
      [...stdout.matchAll(/(?:secretKeyRef:\n\s+key: (\S+)\n\s+name: (\S+))/g)].map(([, key, secret]) => `${secret}/${key}`),
    );
    for (const reference of used) {
      const [secret = '', key = ''] = reference.split('/');
      expect(Object.keys(one(objects, 'Secret', secret).data ?? {})).toContain(key);
    }
  }
});
