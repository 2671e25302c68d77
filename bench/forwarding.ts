/**
 * What it costs to reach another server than the one that a direct file belongs on: the same uploads once to the owner
 * itself and once to a server that forwards them all. `npm run bench:forwarding` prints ratios; two processes share one
 * database and one machine, so that sending and receiving are paid for by the same cores.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from './connection.ts';
import { type RunningServer, windlassWith } from './servers.ts';

const KIB = 1024;
const MIB = 1024 ** 2;
const ROUNDS = 5;

interface Load {
  name: string;
  size: number;
  uploads: number;
  connections: number;
}
const LOADS: readonly Load[] = [
  { name: '4 KiB', size: 4 * KIB, uploads: 400, connections: 8 },
  { name: '1 MiB', size: MIB, uploads: 160, connections: 8 },
  { name: '256 MiB', size: 256 * MIB, uploads: 2, connections: 2 },
];

interface Cost {
  seconds: number;
  /** Median of an upload, ms. */
  latency: number;
  /** Of both servers together. */
  cpuSeconds: number;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function measure(load: Load, target: RunningServer, servers: readonly RunningServer[]): Promise<Cost> {
  const cpu = (): number => servers.reduce((sum, server) => sum + server.cpuSeconds(), 0);
  const latencies: number[] = [];
  let left = load.uploads;
  let strayed = 0;
  const [cpuBefore, begun] = [cpu(), performance.now()];
  const lane = async (): Promise<void> => {
    const connection = new Connection(target.port);
    while (left > 0) {
      left -= 1;
      const body = { before: Buffer.alloc(0), size: load.size, after: Buffer.alloc(0) };
      const headers = { 'Content-Type': 'application/octet-stream' };
      const { status, ms, body: text } = await connection.send({ method: 'POST', path: '/v1/uploads/direct', headers, body, rate: null });
      if (status !== 201) throw new Error(`${target.name}: ${status} ${text}`);
      if (JSON.parse(text).location.node !== 'owner') strayed += 1;
      latencies.push(ms);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: load.connections }, lane));
  if (strayed > load.uploads / 100) throw new Error(`${strayed} files do not lie on their owner`);
  return { seconds: (performance.now() - begun) / 1000, latency: median(latencies), cpuSeconds: cpu() - cpuBefore };
}

/** In turns, so that what else the machine does falls on both alike. */
async function compare(load: Load, owner: RunningServer, other: RunningServer): Promise<string> {
  const costs: { direct: Cost; forwarded: Cost }[] = [];
  for (let round = 0; round < ROUNDS; round += 1)
    costs.push({ direct: await measure(load, owner, [owner, other]), forwarded: await measure(load, other, [owner, other]) });
  const ratio = (of: (cost: Cost) => number): string => median(costs.map(({ direct, forwarded }) => of(forwarded) / of(direct))).toFixed(2);
  const cells = [load.name, String(load.connections), ratio(({ seconds }) => 1 / seconds), ratio(({ latency }) => latency)];
  return `| ${[...cells, ratio(({ cpuSeconds }) => cpuSeconds)].join(' | ')} |`;
}

const folder = mkdtempSync(join(tmpdir(), 'windlass-forwarding-'));
const member = (name: string, weight: string): Record<string, string> => ({
  DATA_DIR: join(folder, 'shared'),
  DIRECT_DIR: join(folder, name, 'direct'),
  SPOOL_DIR: join(folder, name, 'spool'),
  NODE_NAME: name,
  DIRECT_PLACEMENT: 'rendezvous',
  DIRECT_WEIGHT: weight,
  INTERNAL_SECRET: 'a secret of the benchmark',
  REBALANCE_INTERVAL_SECONDS: '0',
  RECONCILE_INTERVAL_SECONDS: '0',
});
const servers: RunningServer[] = [];
try {
  // One file of a hundred thousand belongs on the other server.
  for (const [name, weight] of [
    ['owner', '1000'],
    ['other', '0.01'],
  ] as const)
    servers.push(await windlassWith(member(name, weight))(folder));
  const [owner, other] = servers as [RunningServer, RunningServer];
  console.log('| a file | connections | throughput | median time | CPU of both |\n| --- | --- | --- | --- | --- |');
  for (const load of LOADS) console.log(await compare(load, owner, other));
} finally {
  for (const server of servers) await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
