import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ciFile, ciFiles, type KubeObject, packaged, render, withHelm } from './helm.ts';
import { type Container, envOf, one, podsOf, selects } from './kube.ts';

const SELECTORS = ['app.kubernetes.io/component', 'app.kubernetes.io/instance', 'app.kubernetes.io/name'];
const OTHERS = ['app.kubernetes.io/managed-by', 'app.kubernetes.io/part-of', 'helm.sh/chart'];

withHelm(() => {
  describe.each(ciFiles())('%s', (name) => {
    const objects = render(ciFile(name));
    const pods = podsOf(objects);
    const own = objects.filter(({ metadata }) => !/-more$|^our-ca$/.test(metadata.name));

    test('all objects carry the recommended labels, and selectors none that a version changes', () => {
      for (const { kind, metadata } of own)
        expect([kind, Object.keys(metadata.labels)]).toEqual([kind, expect.arrayContaining([...SELECTORS, ...OTHERS])]);
      for (const { kind, spec } of objects.filter(({ kind }) => ['Deployment', 'StatefulSet', 'PodDisruptionBudget'].includes(kind)))
        expect([kind, Object.keys(spec.selector.matchLabels).sort()]).toEqual([kind, SELECTORS]);
    });

    test('Services, budgets and workloads find their pods, and only those of one component', () => {
      for (const { kind, metadata, spec } of objects.filter(({ kind }) => kind === 'Service' || kind === 'PodDisruptionBudget')) {
        const found = pods.filter(({ labels }) => selects(spec.selector.matchLabels ?? spec.selector, labels));
        expect([kind, metadata.name, found.length]).toEqual([kind, metadata.name, 1]);
      }
      for (const { metadata, spec } of objects.filter(({ spec }) => spec?.template?.metadata?.labels && spec.selector))
        expect([metadata.name, selects(spec.selector.matchLabels, spec.template.metadata.labels)]).toEqual([metadata.name, true]);
    });

    test('pods are restricted, and have no token of the cluster', () => {
      for (const { of, spec, containers } of pods) {
        expect([of, spec.automountServiceAccountToken, spec.enableServiceLinks]).toEqual([of, false, false]);
        expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
        for (const { securityContext, resources } of containers) {
          expect(securityContext).toEqual({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          });
          expect(resources).toMatchObject({ requests: { memory: expect.anything() }, limits: { memory: expect.anything() } });
        }
      }
    });

    test('every volume that is mounted is there, and /tmp can be written to', () => {
      for (const { of, spec, containers } of pods) {
        const volumes = [...spec.volumes, ...(volumeClaims(objects, of) ?? [])].map(({ name }) => name);
        for (const { volumeMounts = [] } of containers)
          for (const mount of volumeMounts) expect([of, volumes]).toEqual([of, expect.arrayContaining([mount.name])]);
        expect(spec.containers[0].volumeMounts).toContainEqual({ name: 'tmp', mountPath: '/tmp' });
      }
    });

    test('servers and workers have three different probes, on the operations port', () => {
      for (const { containers } of pods.filter(({ labels }) => /^(api|relay)$/.test(labels['app.kubernetes.io/component'] ?? ''))) {
        const { startupProbe, livenessProbe, readinessProbe } = containers.at(-1) as Container;
        expect(startupProbe).toMatchObject({ httpGet: { path: '/startupz', port: 'ops' } });
        expect(livenessProbe).toMatchObject({ httpGet: { path: '/livez', port: 'ops' } });
        expect(readinessProbe).toMatchObject({ httpGet: { path: '/readyz', port: 'ops' } });
      }
    });

    test('a pod is killed only after all that its process may take to stop', () => {
      for (const { of, spec, containers } of pods.filter(
        ({ spec }) => spec.restartPolicy !== 'Never' && spec.terminationGracePeriodSeconds,
      )) {
        const main = containers.at(-1) as Container;
        const { SHUTDOWN_GRACE_SECONDS: grace, SHUTDOWN_DELAY_SECONDS: delay = 0 } = envOf(main);
        const needed = Number(grace) + Number(delay) + (main.lifecycle?.preStop.sleep.seconds ?? 0);
        expect([of, spec.terminationGracePeriodSeconds > needed]).toEqual([of, true]);
      }
    });

    test('no server or worker is missed while a Deployment is rolled out', () => {
      for (const { spec } of objects.filter(({ kind }) => kind === 'Deployment'))
        expect(spec.strategy.rollingUpdate.maxUnavailable).toBe(0);
    });

    test('who scales by load says how many there are, and nobody else', () => {
      const scaled = objects
        .filter(({ kind }) => kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject')
        .map(({ spec }) => spec.scaleTargetRef.name);
      for (const { kind, metadata, spec } of objects.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet'))
        expect([kind, metadata.name, 'replicas' in spec]).toEqual([kind, metadata.name, !scaled.includes(metadata.name)]);
    });
  });

  test('rendered twice, it is the same: nothing is made at random', () => {
    expect(render(ciFile('trial-values.yaml'))).toEqual(render(ciFile('trial-values.yaml')));
  });

  test('another version changes nothing that Kubernetes does not let change, and restarts pods only for its image', () => {
    const folder = mkdtempSync(join(tmpdir(), 'windlass-chart-'));
    try {
      const [before, after] = ['1.0.0', '2.0.0'].map((version) =>
        render(ciFile('trial-values.yaml'), { chart: packaged(version, folder) }),
      ) as [KubeObject[], KubeObject[]];
      for (const { kind, metadata, spec } of before.filter(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment')) {
        const next = one(after, kind, metadata.name);
        expect(next.metadata.labels['helm.sh/chart']).toMatch(/^windlass(-dev)?-(2\.0\.0|0\.1\.0)$/);
        expect({ ...next.spec, template: null }).toEqual({ ...spec, template: null });
        expect(JSON.stringify(next.spec.template).replaceAll('windlass:2.0.0', 'windlass:1.0.0')).toEqual(JSON.stringify(spec.template));
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

const volumeClaims = (objects: readonly KubeObject[], of: string): { name: string }[] | undefined =>
  objects
    .find(({ kind, metadata }) => `${kind} ${metadata.name}` === of)
    ?.spec.volumeClaimTemplates?.map(({ metadata }: KubeObject) => metadata);
