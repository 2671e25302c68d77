/**
 * Renders the plain manifests below k8s/manifests from the chart, each with the values beside it. With --check it only
 * says which are out of date. `--helm FILE` names the binary.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const FOLDER = 'k8s/manifests';
const HEADER = '# Rendered from charts/windlass by `node scripts/chart-manifests.ts`. Change the chart or the values beside this file.\n';
/** What would claim that Helm looks after these objects. */
const OF_HELM = /^ *(?:app\.kubernetes\.io\/managed-by|helm\.sh\/chart): .*\n/gm;

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false }, helm: { type: 'string', default: 'helm' } } });

/** Hooks are left out: without Helm nobody runs them in their turn, and servers make by themselves what is missing. */
function rendered(name: string): string {
  const args = ['template', 'windlass', 'charts/windlass', '--namespace', 'windlass', '--kube-version', '1.34.0', '--no-hooks'];
  const text = execFileSync(values.helm, [...args, '--values', `${FOLDER}/${name}/values.yaml`], { encoding: 'utf8' });
  return HEADER + text.replaceAll(OF_HELM, '').replaceAll(/[ \t]+$/gm, '');
}

const current = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

for (const name of readdirSync(FOLDER)) {
  const path = `${FOLDER}/${name}/windlass.yaml`;
  const text = rendered(name);
  if (current(path) === text) continue;
  if (values.check) {
    console.error(`${path} is out of date: run \`node scripts/chart-manifests.ts\``);
    process.exitCode = 1;
  } else writeFileSync(path, text);
}
