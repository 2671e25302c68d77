import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { loadPages } from '../../src/http/pages.ts';
import { type RunningServer, startServer } from '../support/server.ts';
import { ciFile, type KubeObject, ROOT, render, withHelm } from './helm.ts';

interface PublicPath {
  path: string;
  exact: boolean;
}

const isPublic = (paths: PublicPath[], asked: string): boolean =>
  paths.some(({ path, exact }) => (exact ? asked === path : asked === path || asked.startsWith(`${path.replace(/\/$/, '')}/`)));

const ofIngress = ({ spec }: KubeObject): PublicPath[] =>
  spec.rules.flatMap(({ http }: { http: { paths: { path: string; pathType: string }[] } }) =>
    http.paths.map(({ path, pathType }) => ({ path, exact: pathType === 'Exact' })),
  );

const ofHttpRoute = ({ spec }: KubeObject): PublicPath[] =>
  spec.rules.flatMap(({ matches }: { matches: { path: { type: string; value: string } }[] }) =>
    matches.map(({ path }) => ({ path: path.value, exact: path.type === 'Exact' })),
  );

withHelm(() => {
  const objects = render(ciFile('everything-values.yaml'));
  const of = (kind: string): KubeObject => objects.find((object) => object.kind === kind) as KubeObject;
  const example = parse(readFileSync(`${ROOT}k8s/overlays/production/ingress.yaml`, 'utf8')) as KubeObject;

  describe.each([
    ['the Ingress', ofIngress(of('Ingress'))],
    ['the HTTPRoute', ofHttpRoute(of('HTTPRoute'))],
    ['the Ingress of the example overlay', ofIngress(example)],
  ])('%s', (_name, paths) => {
    let server: RunningServer;
    beforeAll(async () => {
      server = await startServer();
    });
    afterAll(async () => server[Symbol.asyncDispose]());

    test('leads to every page and route of the server', async () => {
      const { paths: routes } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: object };
      const asked = [...loadPages({}).keys(), ...Object.keys(routes)];
      expect(asked.length).toBeGreaterThan(20);
      expect(asked.filter((path) => !isPublic(paths, path))).toEqual([]);
    });

    test.each(['/internal/spool/x', '/internal', '/metrics', '/livez', '/store/x', '/v1x'])('does not lead to %s', (path) => {
      expect(isPublic(paths, path)).toBe(false);
    });
  });

  test('no timeout of a proxy cuts long uploads, and none buffers them', () => {
    expect(of('HTTPRoute').spec.rules).toMatchObject([{ timeouts: { request: '0s', backendRequest: '0s' } }]);
    expect(of('Ingress').metadata.annotations).toMatchObject({
      'nginx.ingress.kubernetes.io/proxy-body-size': '0',
      'nginx.ingress.kubernetes.io/proxy-request-buffering': 'off',
      'nginx.ingress.kubernetes.io/proxy-buffering': 'off',
    });
  });

  test('metrics and health are in no Service that is published', () => {
    const [service] = objects.filter(({ kind, spec }) => kind === 'Service' && spec.type === 'NodePort') as [KubeObject];
    expect(service.spec.ports.map(({ targetPort }: { targetPort: string }) => targetPort)).toEqual(['http']);
  });
});
