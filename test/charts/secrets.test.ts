import { describe, expect, test } from '@jest/globals';
import { SETTINGS } from '../../src/settings.ts';
import { ciFile, ciFiles, type KubeObject, render, withHelm } from './helm.ts';
import { envOf, one, type Pod, podsOf } from './kube.ts';

const SECRET_SETTINGS = Object.entries(SETTINGS).flatMap(([name, { secret }]) => (secret ? [name] : []));

withHelm(() => {
  test.each(ciFiles())('%s: no secret is in a ConfigMap or in the open in a pod', (name) => {
    const objects = render(ciFile(name));
    for (const { data = {} } of objects.filter(({ kind }) => kind === 'ConfigMap'))
      expect(Object.keys(data).filter((key) => SECRET_SETTINGS.includes(key))).toEqual([]);
    for (const { containers } of podsOf(objects))
      for (const env of containers.map(envOf))
        for (const setting of SECRET_SETTINGS)
          if (setting in env) expect(env[setting]).toEqual({ secretKeyRef: { name: expect.any(String), key: expect.any(String) } });
  });

  test.each(ciFiles())('%s: no Secret is made but that of a trial', (name) => {
    const made = render(ciFile(name)).filter(({ kind }) => kind === 'Secret');
    expect(made.map(({ metadata }) => metadata.name)).toEqual(/trial|everything/.test(name) ? ['up-dev'] : []);
  });

  test('all keys that pods read are in the Secret of a trial', () => {
    const objects = render(ciFile('trial-values.yaml'));
    const { stringData } = one(objects, 'Secret', 'up-dev');
    const read = podsOf(objects).flatMap(secretsReadBy);
    expect(read.length).toBeGreaterThan(10);
    for (const { name, key } of read) expect([name, Object.keys(stringData ?? {})]).toEqual(['up-dev', expect.arrayContaining([key])]);
  });

  test('Secrets and keys of one’s own are used under the names given', () => {
    const pods = podsOf(render(ciFile('production-values.yaml')));
    const [api] = pods.filter(({ of }) => of === 'StatefulSet up-windlass-api') as [Pod];
    expect(secretsReadBy(api)).toEqual([
      { name: 'mongodb-app', key: 'connectionString.standardSrv' },
      { name: 'rabbitmq-windlass', key: 'connection_string' },
      { name: 's3-windlass', key: 'AWS_ACCESS_KEY_ID' },
      { name: 's3-windlass', key: 'AWS_SECRET_ACCESS_KEY' },
      { name: 's3-windlass', key: 'AWS_SESSION_TOKEN' },
      { name: 'windlass-internal', key: 'key' },
      { name: 'windlass-tokens', key: 'tokens.jsonl' },
    ]);
    const [relay] = pods.filter(({ of }) => of === 'Deployment up-windlass-relay') as [Pod];
    expect(secretsReadBy(relay).map(({ name }) => name)).not.toContain('windlass-tokens');
  });

  test('KEDA asks the management API, and counts jobs that are being worked on', () => {
    const objects = render(ciFile('everything-values.yaml'));
    const [{ metadata }] = objects.filter(({ kind }) => kind === 'TriggerAuthentication') as [KubeObject];
    expect(one(objects, 'TriggerAuthentication', metadata.name).spec.secretTargetRef).toEqual([
      { parameter: 'host', name: 'up-dev', key: 'rabbitmq-management-url' },
    ]);
    const [{ spec }] = objects.filter(({ kind }) => kind === 'ScaledObject') as [KubeObject];
    expect(spec).toMatchObject({ minReplicaCount: 1, triggers: [{ type: 'rabbitmq', authenticationRef: { name: metadata.name } }] });
    expect(spec.triggers[0].metadata).toMatchObject({ protocol: 'http', excludeUnacknowledged: 'false', queueName: 'windlass.jobs' });
  });

  describe('without credentials for S3', () => {
    test('pods look for them as AWS does', () => {
      const pods = podsOf(render(ciFile('shared-volume-values.yaml')));
      for (const env of pods.flatMap(({ containers }) => containers.map(envOf)))
        expect(Object.keys(env)).not.toContain('AWS_ACCESS_KEY_ID');
    });
  });
});

function secretsReadBy({ spec, containers }: Pod): { name: string; key: string }[] {
  const byEnv = containers.flatMap((container) =>
    Object.values(envOf(container)).flatMap((value) =>
      typeof value === 'object' && value !== null && 'secretKeyRef' in value ? [value.secretKeyRef as { name: string; key: string }] : [],
    ),
  );
  const mounted = (spec.volumes as { secret?: { secretName: string; items: { key: string }[] } }[]).flatMap(({ secret }) =>
    secret ? secret.items.map(({ key }) => ({ name: secret.secretName, key })) : [],
  );
  return [...byEnv, ...mounted];
}
