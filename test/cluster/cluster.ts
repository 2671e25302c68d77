/**
 * Any cluster that KUBECONFIG leads to. It must have the images, or be able to pull them: WINDLASS_IMAGE (default: the
 * chart's), WINDLASS_NEXT_IMAGE to upgrade to (default: the same), and those of the three servers, TEST_MONGO_IMAGE,
 * TEST_RABBITMQ_IMAGE and TEST_MINIO_IMAGE.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { test } from '@jest/globals';
import { CHART, HELM } from '../charts/helm.ts';

const { env } = process;
const KUBECTL = env.TEST_KUBECTL ?? 'kubectl';
const run = promisify(execFile);
/** Seconds that Helm and rollouts may take, on a machine that has much else to do. */
export const PATIENCE = Number(env.TEST_CLUSTER_PATIENCE_SECONDS ?? 200);
const PATIENCE_MS = (PATIENCE + 40) * 1000;

export const kubectl = (...args: string[]) => run(KUBECTL, args, { timeout: PATIENCE_MS, maxBuffer: 64 * 1024 ** 2 });
export const helm = (...args: string[]) => run(HELM, args, { timeout: PATIENCE_MS, maxBuffer: 64 * 1024 ** 2 });

/** Runs the tests, or skips them where there is no cluster, and says so. */
export function withCluster(define: () => void): void {
  const there = env.KUBECONFIG && spawnSync(KUBECTL, ['get', 'namespaces'], { timeout: 15_000 }).status === 0;
  if (there && spawnSync(HELM, ['version']).status === 0) define();
  else {
    process.stderr.write('No cluster here (KUBECONFIG), or no Helm (TEST_HELM): the tests on a cluster are skipped.\n');
    test.skip('on a cluster', () => undefined);
  }
}

/** A namespace that takes restricted pods only, and is removed with all that is in it. */
export async function restrictedNamespace(name: string): Promise<AsyncDisposable> {
  await kubectl('delete', 'namespace', name, '--ignore-not-found', '--wait');
  await kubectl('create', 'namespace', name);
  await kubectl('label', 'namespace', name, 'pod-security.kubernetes.io/enforce=restricted', 'pod-security.kubernetes.io/warn=restricted');
  return { [Symbol.asyncDispose]: async () => void (await kubectl('delete', 'namespace', name, '--wait=false')) };
}

/** Applies objects, for real or with what `args` say. */
export async function applied(
  namespace: string,
  objects: readonly object[],
  ...args: string[]
): Promise<{ stdout: string; stderr: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'windlass-objects-'));
  try {
    const file = join(folder, 'objects.json');
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    return await kubectl('apply', '--namespace', namespace, '--filename', file, '--server-side', '--validate=strict', ...args);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** For pods of the tests' own. */
export const RESTRICTED = {
  pod: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
  container: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
};

/** The parts of `registry/name:tag` as the chart takes them. */
export function imageValues(path: string, image: string | undefined): string[] {
  if (!image) return [];
  const [, repository, tag] = /^(.+):([^:/]+)$/.exec(image) ?? [];
  if (!repository || !tag) throw new Error(`${image} has no tag`);
  return [`${path}.registry=`, `${path}.repository=${repository}`, `${path}.tag=${tag}`];
}

export const IMAGE = env.WINDLASS_IMAGE ?? 'windlass:0.1.0';
export const NEXT_IMAGE = env.WINDLASS_NEXT_IMAGE ?? IMAGE;
export const TRIAL_TOKEN = 'wl_trial-of-windlass-everyone-knows-this-token';
export const isFerret = /ferretdb/.test(env.TEST_MONGO_IMAGE ?? '');

export const DEV_IMAGES = [
  ...imageValues('devStack.mongodb.image', env.TEST_MONGO_IMAGE),
  ...imageValues('devStack.rabbitmq.image', env.TEST_RABBITMQ_IMAGE),
  ...imageValues('devStack.minio.image', env.TEST_MINIO_IMAGE),
  // FerretDB on SQLite knows no users.
  ...(isFerret ? ['devStack.mongodb.auth=false'] : []),
];

/** Little is asked of nodes, so that several installations have room on a small one. */
export const SMALL_REQUESTS = ['api', 'relay', 'jobs'].map((component) => `${component}.resources.requests.cpu=20m`);

/** Values for an installation with the servers for trials, and small waits. */
const TRIAL_ARGS = [
  'devStack.enabled=true',
  ...imageValues('image', IMAGE),
  ...DEV_IMAGES,
  ...SMALL_REQUESTS,
  'api.shutdown.graceSeconds=30',
  'relay.shutdown.graceSeconds=30',
].flatMap((value) => ['--set', value]);

const change =
  (verb: 'install' | 'upgrade') =>
  (namespace: string, ...args: string[]) =>
    helm(verb, 'up', CHART, '--namespace', namespace, ...TRIAL_ARGS, ...args, '--wait', '--timeout', `${PATIENCE}s`);
export const install = change('install');
export const upgrade = change('upgrade');

/** Waits until every pod of a workload (`statefulset/…`) is of its newest version, and ready. */
export const rolledOut = (namespace: string, workload: string) =>
  kubectl('--namespace', namespace, 'rollout', 'status', workload, `--timeout=${PATIENCE}s`);

/** `kubectl port-forward` to a free port of this machine. */
export async function forward(namespace: string, target: string, port: number): Promise<AsyncDisposable & { url: string }> {
  const child = spawn(KUBECTL, ['--namespace', namespace, 'port-forward', target, `:${port}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const exited = once(child, 'exit');
  return {
    url: line.replace(/^Forwarding from (\S+) .*$/, 'http://$1'),
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}

/** The lines that a pod writes, as they come. */
export function follow(namespace: string, pod: string, ...args: string[]): AsyncDisposable & { lines: string[] } {
  const child = spawn(KUBECTL, ['--namespace', namespace, 'logs', '--follow', pod, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const exited = once(child, 'exit');
  return {
    lines,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}
