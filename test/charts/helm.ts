import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from '@jest/globals';
import { parseAllDocuments, stringify } from 'yaml';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const CHART = join(ROOT, 'charts/windlass');
export const HELM = process.env.TEST_HELM ?? 'helm';

/** An object of Kubernetes, as far as tests look into it. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels: Record<string, string>; annotations?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: what is in there depends on the kind.
  spec?: any;
  data?: Record<string, string>;
  stringData?: Record<string, string>;
}

/** The types that the chart makes objects of only where the cluster knows them. */
const TYPES = [
  'gateway.networking.k8s.io/v1/HTTPRoute',
  'keda.sh/v1alpha1/ScaledObject',
  'monitoring.coreos.com/v1/ServiceMonitor',
  'monitoring.coreos.com/v1/PodMonitor',
  'monitoring.coreos.com/v1/PrometheusRule',
];
const CLUSTER = ['--kube-version', '1.34.0', ...TYPES.flatMap((type) => ['--api-versions', type])];

export const ciFiles = (): string[] => readdirSync(join(CHART, 'ci'));
export const ciFile = (name: string): string => join(CHART, 'ci', name);

/** Runs the tests, or skips them where there is no Helm, and says so. */
export function withHelm(define: () => void): void {
  if (spawnSync(HELM, ['version']).status === 0) define();
  else {
    process.stderr.write('No Helm here (TEST_HELM names the binary): the tests of the chart are skipped.\n');
    test.skip('with Helm', () => undefined);
  }
}

/** What `helm template up CHART` gives, parsed. Throws with Helm's words when values are refused. */
export function render(values: string | object, { chart = CHART, cluster = CLUSTER, release = 'up' } = {}): KubeObject[] {
  return inFile(values, (file) => {
    const result = spawnSync(HELM, ['template', release, chart, ...cluster, '--values', file], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 ** 2,
    });
    if (result.status !== 0) throw new Error(result.stderr);
    return objectsIn(result.stdout);
  });
}

export const objectsIn = (text: string): KubeObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS({ maxAliasCount: 1000 }) as KubeObject | null)
    .filter((object) => object !== null);

/** Helm's words for values that it does not take; empty when it takes them. */
export function refusal(values: object, options: Parameters<typeof render>[1] = {}): string {
  try {
    render(values, options);
    return '';
  } catch (error) {
    return String(error);
  }
}

/** The same chart, of another version. */
export function packaged(version: string, folder: string): string {
  execFileSync(HELM, ['package', CHART, '--version', version, '--app-version', version, '--destination', folder], { stdio: 'pipe' });
  return join(folder, `windlass-${version}.tgz`);
}

function inFile<T>(values: string | object, use: (file: string) => T): T {
  if (typeof values === 'string') return use(values);
  const folder = mkdtempSync(join(tmpdir(), 'windlass-values-'));
  try {
    const file = join(folder, 'values.yaml');
    writeFileSync(file, stringify(values));
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
