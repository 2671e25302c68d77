import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** As much of a Kubernetes API as Helm's `lookup` asks for: the types, and objects that are there. */
export interface KubeApi extends AsyncDisposable {
  /** Path of a kubeconfig that leads here. */
  kubeconfig: string;
}

const TYPES: Record<string, { name: string; kind: string }[]> = {
  '/api/v1': [{ name: 'persistentvolumeclaims', kind: 'PersistentVolumeClaim' }],
  '/apis/apps/v1': [
    { name: 'deployments', kind: 'Deployment' },
    { name: 'statefulsets', kind: 'StatefulSet' },
  ],
};

const resourceList = (groupVersion: string, path: string): object => ({
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion,
  resources: TYPES[path]?.map((type) => ({ ...type, singularName: '', namespaced: true, verbs: ['get', 'list'] })),
});

const ANSWERS: Record<string, object> = {
  '/version': { major: '1', minor: '34', gitVersion: 'v1.34.0' },
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: [
      {
        name: 'apps',
        versions: [{ groupVersion: 'apps/v1', version: 'v1' }],
        preferredVersion: { groupVersion: 'apps/v1', version: 'v1' },
      },
    ],
  },
  '/api/v1': resourceList('v1', '/api/v1'),
  '/apis/apps/v1': resourceList('apps/v1', '/apis/apps/v1'),
};

/** `objects`: those that are there, by the path at which the API has them. */
export async function startKubeApi(objects: Record<string, object>): Promise<KubeApi> {
  const notFound = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
  const server = createServer((request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    const found = objects[path] ?? ANSWERS[path];
    response.writeHead(found ? 200 : 404, { 'Content-Type': 'application/json' }).end(JSON.stringify(found ?? notFound));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(join(tmpdir(), 'windlass-kube-'));
  const kubeconfig = join(folder, 'config');
  const cluster = { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'here', cluster }],
    contexts: [{ name: 'here', context: { cluster: 'here', user: 'here' } }],
    users: [{ name: 'here', user: {} }],
    'current-context': 'here',
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  return {
    kubeconfig,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}
