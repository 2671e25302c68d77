/** Writes Grafana's dashboards from their source in scripts/dashboards; with --check it only says which are out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { overview } from './dashboards/overview.ts';
import { relayPipeline } from './dashboards/relay-pipeline.ts';
import { runtime } from './dashboards/runtime.ts';
import { store } from './dashboards/store.ts';

const FOLDER = 'charts/windlass/files/dashboards';
const DASHBOARDS = { overview, 'relay-pipeline': relayPipeline, store, runtime };

const current = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

for (const [name, dashboard] of Object.entries(DASHBOARDS)) {
  const path = `${FOLDER}/${name}.json`;
  const text = `${JSON.stringify(dashboard, null, 2)}\n`;
  if (current(path) === text) continue;
  if (process.argv.includes('--check')) {
    console.error(`${path} is out of date: run \`npm run generate\``);
    process.exitCode = 1;
  } else writeFileSync(path, text);
}
