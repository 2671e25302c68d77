import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RULES, ruleFiles } from '../rules/rule-files.ts';
import { Load } from '../support/load.ts';
import { RunningPrometheus } from '../support/prometheus.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { type FragileServers, startFragileServers } from '../support/toxiproxy-servers.ts';

/** A minute of the shipped rules takes a second here, beside a scrape every second instead of every half minute. */
const MINUTE_SECONDS = 1;
/** Longer than a process answers scrapes with the same readings of its backlog: one unlucky reading is no fault. */
const SHORTEST_FOR_SECONDS = 6;
const UNIT_MINUTES: Record<string, number> = { m: 1, h: 60, d: 1440 };

/**
 * A rule file with all times shortened: windows (`[5m]`), `for:`, and the thresholds that are written as minutes
 * (`10 * 60`) or hours (`4 * 60 * 60`). What names a time in a label (`le="300"`) or a name stays.
 */
export const shortened = (text: string): string =>
  text
    .replaceAll(/\[(\d+)([mhd])\]/g, (_, count, unit) => `[${Math.max(4, minutes(count, unit) * MINUTE_SECONDS)}s]`)
    .replaceAll(
      /^(\s*for: )(\d+)([mhd])$/gm,
      (_, key, count, unit) => `${key}${Math.max(SHORTEST_FOR_SECONDS, minutes(count, unit) * MINUTE_SECONDS)}s`,
    )
    .replaceAll(/(\d+)((?: \* 60)?) \* 60/g, (_, count, hours) => `${count}${hours} * ${MINUTE_SECONDS}`);

const minutes = (count: string, unit: string): number => Number(count) * (UNIT_MINUTES[unit] ?? 1);

export interface WatchedStack {
  servers: FragileServers;
  stack: Stack;
  prometheus: RunningPrometheus;
  load: Load;
  /** The folder of the spool, on a small file system of its own; null where none may be mounted. */
  smallSpool: string | null;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A server and a worker on servers that nobody else uses, under load, read by a Prometheus with the shipped rules. */
export async function startWatchedStack(): Promise<WatchedStack> {
  const opened = new AsyncDisposableStack();
  try {
    const servers = await startFragileServers();
    opened.defer(() => servers.stop());
    const smallSpool = mountSmall(opened);
    const stack = opened.use(
      await startStack(servers.addresses, {
        apis: 1,
        workers: 1,
        settings: {
          JOB_ATTEMPTS: '100',
          RATE_LIMIT_PER_SECOND: '20',
          ...(smallSpool ? { SPOOL_DIR: smallSpool } : {}),
        },
      }),
    );
    const processes = [...stack.apis, ...stack.workers].map(({ opsPort }) => `127.0.0.1:${opsPort}`);
    const rules = Object.fromEntries(ruleFiles().map((file) => [file, shortened(readFileSync(join(RULES, file), 'utf8'))]));
    const detailed = { path: '/metrics/detailed', params: { family: ['queue_coarse_metrics', 'queue_consumer_count'] } };
    const prometheus = opened.use(
      await RunningPrometheus.start(
        [
          { job: 'windlass', targets: processes, labels: { namespace: 'files', release: 'up' } },
          { job: 'rabbitmq', targets: [servers.rabbitMetrics], ...detailed },
        ],
        rules,
      ),
    );
    const load = new Load(
      stack.apis.map(({ url }) => url),
      'watched',
    );
    load.start();
    opened.defer(() => load.stop());
    const owned = opened.move();
    return { servers, stack, prometheus, load, smallSpool, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** 256 MiB of memory as a file system: only root may, and not everywhere. */
function mountSmall(opened: AsyncDisposableStack): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-small-'));
  opened.defer(() => rmSync(folder, { recursive: true, force: true }));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', folder]).status !== 0) return null;
  opened.defer(() => void spawnSync('umount', ['--lazy', folder]));
  return folder;
}
