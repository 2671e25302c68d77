import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readConfig, roleProblems } from '../../src/config.ts';
import { CHART, ciFile, refusal, render, withHelm } from './helm.ts';
import { envOf, one, podsOf } from './kube.ts';

const trial = { devStack: { enabled: true } };
const production = parse(readFileSync(ciFile('production-values.yaml'), 'utf8'));
const shared = parse(readFileSync(ciFile('shared-volume-values.yaml'), 'utf8'));

/** Maps whose keys are the user's own, and `global`, which belongs to other charts as well. */
const FREE = new Set(['global', 'ingress.annotations', 'commonLabels', 'commonAnnotations']);
const FREE_NAMES = /(?:^|\.)(?:requests|limits|labels|annotations|podLabels|podAnnotations|nodeSelector)$/;

type Values = { [key: string]: unknown };
const isMap = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Paths of all maps below the default values whose keys are the chart's. */
function closedMaps(values: Values, path = ''): string[] {
  if (FREE.has(path) || FREE_NAMES.test(path)) return [];
  return [
    path,
    ...Object.entries(values).flatMap(([key, value]) => (isMap(value) ? closedMaps(value, path ? `${path}.${key}` : key) : [])),
  ];
}

function withKey(path: string, key: string): Values {
  return path
    .split('.')
    .filter(Boolean)
    .reduceRight<Values>((inner, name) => ({ [name]: inner }), { [key]: 1 });
}

withHelm(() => {
  const defaults = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
  const dev = parse(readFileSync(join(CHART, 'charts/windlass-dev/values.yaml'), 'utf8'));
  const maps = closedMaps({ ...defaults, devStack: dev });

  test.each(maps)('an unknown key is refused by its name: %s', (path) => {
    const values = withKey(path, 'nonsense');
    const words = refusal({ ...values, devStack: { enabled: true, ...(values.devStack as object) } });
    const place = path.replace(/^devStack\.?/, '').replaceAll('.', '/');
    expect(words).toContain(`at '${place && '/'}${place}': additional properties 'nonsense' not allowed`);
  });

  test.each([
    ['api.replicas', { ...trial, api: { replicas: 'two' } }, '/api/replicas'],
    ['api.extraEnv[].nam', { ...trial, api: { extraEnv: [{ nam: 'A' }] } }, '/api/extraEnv/0'],
    ['api.tolerations[].efect', { ...trial, api: { tolerations: [{ efect: 'NoSchedule' }] } }, '/api/tolerations/0'],
    ['api.resources.limits.memory', { ...trial, api: { resources: { limits: { memory: '512 MB' } } } }, '/api/resources/limits/memory'],
    ['image.digest', { ...trial, image: { digest: 'latest' } }, '/image/digest'],
    ['strategies', { ...trial, strategies: ['direct', 'ftp'] }, '/strategies/1'],
    ['strategies twice', { ...trial, strategies: ['direct', 'direct'] }, '/strategies'],
    ['settings.STRATEGIES', { ...trial, settings: { STRATEGIES: 'direct' } }, "'STRATEGIES' not allowed"],
    ['storage.mode', { ...trial, storage: { mode: 'perPod' } }, '/storage/mode'],
    ['service.type', { ...trial, service: { type: 'LoadBalancer' } }, '/service/type'],
    ['publicUrl', { ...trial, publicUrl: 'files.example.com' }, '/publicUrl'],
    ['settings.MAX_UPLOAD_SIZE', { ...trial, settings: { MAX_UPLOAD_SIZE: 1 } }, "'MAX_UPLOAD_SIZE' not allowed"],
    ['settings.MONGODB_URI', { ...trial, settings: { MONGODB_URI: 'mongodb://x' } }, "'MONGODB_URI' not allowed"],
    ['direct.placement', { ...trial, direct: { placement: 'everywhere' } }, '/direct/placement'],
    ['settings.DIRECT_PLACEMENT', { ...trial, settings: { DIRECT_PLACEMENT: 'local' } }, "'DIRECT_PLACEMENT' not allowed"],
    ['settings.PORT', { ...trial, settings: { PORT: 80 } }, "'PORT' not allowed"],
  ])('a wrong value is refused by its name: %s', (_name, values, words) => {
    expect(refusal(values)).toContain(words);
  });

  test.each([
    ['externalMongodb.existingSecret', { ...production, externalMongodb: {} }],
    ['externalRabbitmq.existingSecret', { ...production, externalRabbitmq: {} }],
    ['externalS3.bucket', { ...production, externalS3: {} }],
    ['tokens.existingSecret', { ...production, tokens: {} }],
    ['internal.existingSecret', { ...production, internal: {} }],
    ['publicUrl', { ...production, ingress: {} }],
    ['api.autoscaling.enabled', { ...production, api: { autoscaling: { enabled: true } } }],
    ['api.autoscaling.minReplicas', { ...shared, api: { autoscaling: { enabled: true, minReplicas: 9 } } }],
    ['api.autoscaling.targetCPU', { ...shared, api: { autoscaling: { enabled: true, targetCPU: null } } }],
    ['api.terminationGracePeriodSeconds', { ...production, api: { terminationGracePeriodSeconds: 310 } }],
    ['relay.terminationGracePeriodSeconds', { ...production, relay: { terminationGracePeriodSeconds: 300 } }],
    ['relay.keda.minReplicas', { ...production, relay: { keda: { enabled: true, minReplicas: 11 } } }],
    ['direct.placement', { ...shared, direct: { placement: 'rendezvous' } }],
    ['direct.placement', { ...production, direct: { placement: 'shared' } }],
    ['storage.shared.accessModes', { ...shared, storage: { mode: 'Shared', shared: { accessModes: ['ReadWriteOnce'] } } }],
    ['direct.backup', { ...trial, storage: { mode: 'None' }, direct: { backup: true } }],
    ['ingress.hosts', { ...trial, ingress: { enabled: true } }],
    ['httpRoute.parentRefs', { ...trial, httpRoute: { enabled: true } }],
    ['service.nodePort', { ...trial, service: { nodePort: 30080 } }],
    ['strategies', { ...trial, storage: { mode: 'None' }, strategies: ['presign', 'direct'] }],
    ['metrics.podMonitor.enabled', { ...trial, metrics: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true } } }],
  ])('what is missing or contradicts itself is refused by its name: %s', (key, values) => {
    expect(refusal(values)).toContain(`: ${key}: `);
  });

  test.each([
    ['httpRoute.enabled', { httpRoute: { enabled: true, parentRefs: [{ name: 'public' }] } }, 'Gateway API'],
    ['relay.keda.enabled', { relay: { keda: { enabled: true } } }, 'KEDA'],
    ['metrics.serviceMonitor.enabled', { metrics: { serviceMonitor: { enabled: true } } }, 'Prometheus Operator'],
    ['metrics.podMonitor.enabled', { metrics: { podMonitor: { enabled: true } } }, 'Prometheus Operator'],
    ['metrics.rules.enabled', { metrics: { rules: { enabled: true } } }, 'Prometheus Operator'],
  ])('%s is refused where the cluster does not know its type', (key, values, needed) => {
    const words = refusal({ ...trial, ...values }, { cluster: ['--kube-version', '1.34.0'] });
    expect(words).toContain(`: ${key}: this cluster does not know`);
    expect(words).toContain(needed);
  });

  describe('settings', () => {
    test('arrive as they were written, large numbers and texts with signs included, and win over what the server has', () => {
      const settings = {
        MAX_UPLOAD_BYTES: 5368709120,
        ALLOWED_TYPES: 'image/*, video/mp4',
        METRICS_TENANT_LABEL: true,
        MIN_FREE_BYTES: 0,
        LOG_LEVEL: null,
      };
      const { data } = one(render({ ...trial, settings }), 'ConfigMap', 'up-windlass');
      expect(data).toMatchObject({
        MAX_UPLOAD_BYTES: '5368709120',
        ALLOWED_TYPES: 'image/*, video/mp4',
        METRICS_TENANT_LABEL: 'true',
        MIN_FREE_BYTES: '0',
      });
      expect(Object.keys(data ?? {})).not.toContain('LOG_LEVEL');
    });

    test('restart the pods that read them when they change', () => {
      const checksum = (values: object): unknown[] =>
        podsOf(render(values)).flatMap(({ annotations }) => annotations['checksum/config'] ?? []);
      const before = checksum(trial);
      expect(before).toHaveLength(2);
      expect(checksum({ ...trial, api: { replicas: 3 } })).toEqual(before);
      expect(checksum({ ...trial, settings: { LOG_LEVEL: 'debug' } })).not.toEqual(before);
    });
  });

  describe('where files lie', () => {
    const apiOf = (name: string) => {
      const objects = render(ciFile(name));
      const { data = {} } = one(objects, 'ConfigMap', 'up-windlass');
      const pods = podsOf(objects);
      const pod = (of: string) => pods.find((candidate) => candidate.of === of) as (typeof pods)[number];
      return { objects, data, pod, env: (of: string) => envOf(pod(of).containers.at(-1) ?? { name: '', image: '' }) };
    };

    test('PerPod: each server has two volumes, its own name, and an address by that name', () => {
      const { objects, data, env } = apiOf('production-values.yaml');
      const { spec } = one(objects, 'StatefulSet', 'up-windlass-api');
      expect(spec.volumeClaimTemplates.map(({ metadata }: { metadata: { name: string } }) => metadata.name)).toEqual(['spool', 'direct']);
      expect(one(objects, 'Service', spec.serviceName).spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
      expect(data.SPOOL_SHARED).toBe('false');
      expect(env('StatefulSet up-windlass-api')).toMatchObject({
        NODE_NAME: { fieldRef: { fieldPath: 'metadata.name' } },
        NODE_URL: `http://$(NODE_NAME).${spec.serviceName}.$(POD_NAMESPACE).svc.cluster.local:8080`,
      });
      expect(env('CronJob up-windlass-reconcile').NODE_NAME).toBe('up-windlass-reconcile');
    });

    test('direct files lie as `direct` says, and servers reach each other where clients are named', () => {
      expect(apiOf('production-values.yaml').data).toMatchObject({ DIRECT_PLACEMENT: 'local', DIRECT_BACKUP: 'false' });
      expect(apiOf('shared-volume-values.yaml').data).toMatchObject({ DIRECT_PLACEMENT: 'shared', DIRECT_BACKUP: 'true' });
      const spread = render({ ...production, direct: { placement: 'rendezvous' } });
      const { ingress, egress } = one(spread, 'NetworkPolicy', 'up-windlass-api').spec;
      const own = { podSelector: { matchLabels: { 'app.kubernetes.io/name': 'windlass', 'app.kubernetes.io/instance': 'up' } } };
      expect(ingress[0]).toMatchObject({ ports: [{ port: 'http' }], from: expect.arrayContaining([own]) });
      expect(egress).toContainEqual({ ports: [{ port: 'http', protocol: 'TCP' }], to: [own] });
      const secret = expect.objectContaining({ secretKeyRef: { name: 'windlass-internal', key: 'key' } });
      for (const { of, containers } of podsOf(spread).filter(({ of }) => /api|relay|reconcile|provision/.test(of)))
        expect([of, envOf(containers.at(-1) as (typeof containers)[number]).INTERNAL_SECRET]).toEqual([of, secret]);
    });

    test('Shared: all that use the volume are one node in the records', () => {
      const { objects, data, pod, env } = apiOf('shared-volume-values.yaml');
      expect(one(objects, 'PersistentVolumeClaim', 'up-windlass-files').spec.accessModes).toEqual(['ReadWriteMany']);
      expect(data.SPOOL_SHARED).toBe('true');
      for (const workload of ['Deployment up-windlass-api', 'Deployment up-windlass-relay', 'CronJob up-windlass-reconcile'])
        expect(pod(workload).spec.volumes).toContainEqual({ name: 'data', persistentVolumeClaim: { claimName: 'up-windlass-files' } });
      for (const workload of ['Deployment up-windlass-api', 'CronJob up-windlass-reconcile'])
        expect(env(workload).NODE_NAME).toBe('up-windlass-api');
    });

    test('None: no server takes a file that would have to stay with it', () => {
      const { objects, data, pod } = apiOf('presign-only-values.yaml');
      expect(objects.filter(({ kind }) => kind === 'PersistentVolumeClaim' || kind === 'StatefulSet')).toEqual([]);
      expect(data).toMatchObject({ STRATEGIES: 'presign', SPOOL_SHARED: 'false' });
      const volumes = pod('Deployment up-windlass-api').spec.volumes.map(({ name }: { name: string }) => name);
      expect(volumes).toEqual(['tmp', 'tokens']);
    });

    test.each([
      [['direct'], 'PerPod', 'externalS3'],
      [['direct'], 'Shared', 'externalS3'],
      [['presign'], 'PerPod', 'internal'],
    ])('strategies %j with %s need no %s', (strategies, mode, missing) => {
      const objects = render({ ...production, [missing]: {}, storage: { mode }, strategies });
      const { data = {} } = one(objects, 'ConfigMap', 'up-windlass');
      expect(data.STRATEGIES).toBe(strategies.join());
      const secrets = { MONGODB_URI: 'mongodb://db/windlass', RABBITMQ_URL: 'amqp://queue', TOKENS_FILE: '/etc/windlass/tokens' };
      const internal: Record<string, string> = missing === 'internal' ? {} : { INTERNAL_SECRET: 'x'.repeat(16), NODE_URL: 'http://pod' };
      const config = readConfig({ ...data, ...secrets, ...internal });
      expect((['api', 'relay'] as const).flatMap((role) => roleProblems(config, role))).toEqual([]);
    });

    test('on OpenShift the cluster chooses users', () => {
      const { pod } = apiOf('openshift-values.yaml');
      expect(pod('StatefulSet up-windlass-api').spec.securityContext).toEqual({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
    });
  });
});
