import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { CHART, ciFile, ciFiles, HELM, type KubeObject, refusal, render, withHelm } from './helm.ts';
import { podsOf, selects } from './kube.ts';
import { UNUSUAL } from './unusual-values.ts';

const LABEL = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
/** Kubernetes appends a hash to names of pods, and puts them into labels. */
const LONGEST: Record<string, number> = { CronJob: 52, StatefulSet: 52, Deployment: 52, ConfigMap: 253 };

withHelm(() => {
  test.each(ciFiles())('helm lint --strict has nothing to say to %s', (name) => {
    const { status, stdout } = spawnSync(HELM, ['lint', '--strict', CHART, '--values', ciFile(name)], { encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, expect.stringContaining('0 chart(s) failed')]);
  });

  describe.each(UNUSUAL)('with $about', ({ release, values }) => {
    const objects = render(values, { release });

    test('names are such as Kubernetes takes, and none is there twice', () => {
      for (const { kind, metadata } of objects) {
        expect([kind, metadata.name]).toEqual([kind, expect.stringMatching(kind === 'Service' ? LABEL : /^[a-z0-9][-a-z0-9.]*[a-z0-9]$/)]);
        expect([metadata.name, metadata.name.length <= (LONGEST[kind] ?? 63)]).toEqual([metadata.name, true]);
      }
      const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      expect(new Set(names).size).toBe(names.length);
    });

    test('labels are such as Kubernetes takes, and Services find their pods', () => {
      const pods = podsOf(objects);
      for (const { metadata, kind } of objects)
        for (const [key, value] of Object.entries(metadata.labels ?? {}))
          expect([kind, key, value]).toEqual([kind, key, expect.stringMatching(/^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/)]);
      for (const { spec } of objects.filter(({ kind }) => kind === 'Service'))
        expect(pods.filter(({ labels }) => selects(spec.selector, labels)).length).toBe(1);
    });
  });

  test('two releases of one namespace share no name and no pod', () => {
    const [one, other] = ['one', 'other'].map((release) => render({ devStack: { enabled: true } }, { release })) as [
      KubeObject[],
      KubeObject[],
    ];
    const names = (objects: typeof one) => objects.map(({ kind, metadata: { name } }) => `${kind} ${name}`);
    expect(names(one).filter((name) => names(other).includes(name))).toEqual([]);
    for (const { spec } of one.filter(({ kind }) => kind === 'Service'))
      expect(podsOf(other).filter(({ labels }) => selects(spec.selector, labels))).toEqual([]);
  });

  test.each([
    ['fullnameOverride', '2up', {}],
    ['devStack.enabled', '2up', { fullnameOverride: 'two-up' }],
  ])('a name that Services cannot have is refused by %s', (key, release, values) => {
    expect(refusal({ devStack: { enabled: true }, ...values }, { release })).toContain(`: ${key}: `);
  });

  test('an image from one registry names no other', () => {
    const values = UNUSUAL.find(({ about }) => about === 'a mirror and digests')?.values ?? {};
    for (const { containers, spec } of podsOf(render(values))) {
      for (const { image } of containers) expect(image).toMatch(/^mirror\.example\.com:5000\/[a-z/]+(@sha256:|:)/);
      expect(spec.imagePullSecrets).toContainEqual({ name: 'other.mirror' });
    }
  });
});
