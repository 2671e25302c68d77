import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

const PROMETHEUS = process.env.TEST_PROMETHEUS ?? 'prometheus';

export const prometheusIsThere = (): boolean => spawnSync(PROMETHEUS, ['--version']).status === 0;

export interface Sample {
  metric: Record<string, string>;
  value: number;
}

interface Scraped {
  job: string;
  /** Host and port each. */
  targets: string[];
  path?: string;
  params?: Record<string, string[]>;
  labels?: Record<string, string>;
}

/** A Prometheus that reads every second and forgets everything in the end. */
export class RunningPrometheus {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, process: ChildProcess, folder: string) {
    this.url = url;
    this.#process = process;
    this.#folder = folder;
  }

  /** `rules`: the texts of rule files, by name. */
  static async start(scraped: readonly Scraped[], rules: Readonly<Record<string, string>>): Promise<RunningPrometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'windlass-prometheus-'));
    for (const [name, text] of Object.entries(rules)) await writeFile(join(folder, name), text);
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: Object.keys(rules),
      scrape_configs: scraped.map(({ job, targets, path = '/metrics', params, labels }) => ({
        job_name: job,
        metrics_path: path,
        ...(params ? { params } : {}),
        static_configs: [{ targets, ...(labels ? { labels } : {}) }],
      })),
    };
    await writeFile(join(folder, 'prometheus.yml'), stringify(config));
    const port = await freePort();
    const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`];
    const child = spawn(PROMETHEUS, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    child.stderr?.on('data', (text) => {
      output += text;
    });
    const prometheus = new RunningPrometheus(`http://127.0.0.1:${port}`, child, folder);
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended:\n${output}`);
      if (!(await fetch(`${prometheus.url}/-/ready`)).ok) throw new Error('Prometheus is not ready');
    }, 30_000);
    return prometheus;
  }

  /** What an instant query gives. Throws with Prometheus' words when it does not take it. */
  async query(expr: string): Promise<Sample[]> {
    const response = await fetch(`${this.url}/api/v1/query`, { method: 'POST', body: new URLSearchParams({ query: expr }) });
    const { data, error } = (await response.json()) as {
      data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
      error?: string;
    };
    if (!data) throw new Error(`${expr}: ${error}`);
    return data.result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
  }

  /** Names of the alerts that fire right now. */
  async firing(): Promise<string[]> {
    const samples = await this.query('count by (alertname) (ALERTS{alertstate="firing"})');
    return samples.map(({ metric }) => metric.alertname ?? '').sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
