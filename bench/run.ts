/**
 * Measures Windlass beside peers in one run: `npm run bench`, or `npm run bench -- quick` for a tenth of the work.
 * Saves bench/results/latest.json and docs/performance.md with its plots. BENCH_DIR names a folder on the disk to measure (default:
 * the system's temporary folder); small files are measured on BENCH_TMPFS (default /dev/shm) too.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { performanceReport, type Row } from './report.ts';
import { EXCHANGES, type Exchange, load, type Measurement } from './scenarios.ts';
import { koaMulter, nginx, type StartServer, tus, windlass } from './servers.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const quick = process.argv.includes('quick');
const only = process.argv.slice(2).filter((word) => word !== 'quick');
const scale = (count: number): number => (quick ? Math.max(1, Math.round(count / 10)) : count);
const disk = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'windlass-bench-'));
const tmpfs = mkdtempSync(join(process.env.BENCH_TMPFS ?? '/dev/shm', 'windlass-bench-'));

interface Contender {
  name: string;
  server: StartServer;
  exchange: Exchange;
}

const UPLOADERS: Contender[] = [
  { name: 'nginx PUT', server: nginx, exchange: EXCHANGES.nginxPut },
  { name: 'Koa, raw body piped', server: koaMulter, exchange: EXCHANGES.koaRaw },
  { name: 'Koa + @koa/multer', server: koaMulter, exchange: EXCHANGES.multerForm },
  { name: '@tus/server', server: tus, exchange: EXCHANGES.tusCreate },
  { name: 'Windlass direct, raw', server: windlass, exchange: EXCHANGES.directRaw },
  { name: 'Windlass direct, form', server: windlass, exchange: EXCHANGES.directForm },
  { name: 'Windlass relay, raw', server: windlass, exchange: EXCHANGES.relayRaw },
  { name: 'Windlass relay, form', server: windlass, exchange: EXCHANGES.relayForm },
];

const UPLOADS: { scenario: string; folder: string; work: Work; before?: Work; rounds?: number }[] = [
  { scenario: '1 × 1 GiB', folder: disk, work: { count: 1, parallel: 1, size: quick ? 128 * MIB : 1024 * MIB } },
  { scenario: '16 × 64 MiB at once', folder: disk, work: { count: 16, parallel: 16, size: quick ? 8 * MIB : 64 * MIB } },
  // Over in a second, and so the noisiest.
  { scenario: '2,000 × 64 KiB, 32 at once, tmpfs', folder: tmpfs, work: { count: scale(2000), parallel: 32, size: 64 * KIB }, rounds: 7 },
  {
    scenario: '8,000 × 64 KiB, 32 at once, tmpfs, after 8,000 others',
    folder: tmpfs,
    work: { count: scale(8000), parallel: 32, size: 64 * KIB },
    before: { count: scale(8000), parallel: 32, size: 64 * KIB },
  },
  { scenario: '2,000 × 64 KiB, 32 at once, disk', folder: disk, work: { count: scale(2000), parallel: 32, size: 64 * KIB } },
  { scenario: '64 slow clients', folder: disk, work: { count: 64, parallel: 64, size: 2 * MIB, rate: 512 * KIB } },
];

const PRESIGNERS: Contender[] = [
  { name: 'Windlass presign', server: windlass, exchange: EXCHANGES.presign },
  { name: 'Windlass presign, PUT, complete', server: windlass, exchange: EXCHANGES.presignAndComplete },
];

type Work = Parameters<typeof load>[2];
/** A server is measured as it has just been started, unless the scenario says otherwise. */
const FIRST: Work = { count: 3, parallel: 1, size: 64 * KIB };

async function measure({ server, exchange }: Contender, folder: string, work: Work, before = FIRST): Promise<Measurement> {
  const running = await server(folder);
  try {
    await load(running, exchange, before);
    // A virtual machine's memory is several times dearer the first time it is touched, and what has been free for a while
    // counts as untouched: it would decide how quick the files of a row look.
    if (folder === disk) await writeAndRemove(work.count * work.size);
    return await load(running, exchange, work);
  } finally {
    await running.stop();
  }
}

async function writeAndRemove(bytes: number): Promise<void> {
  const path = join(disk, 'raw');
  const block = Buffer.alloc(MIB, 1);
  const file = await open(path, 'w');
  for (let left = bytes; left > 0; left -= MIB) await file.write(block);
  await file.datasync();
  await file.close();
  rmSync(path);
}

/** Each row is measured as often, in turn with the others, and the median told: the machine is not the same from one minute to the next. */
const ROUNDS = quick ? 1 : 3;

type Run = readonly [name: string, measure: () => Promise<Measurement>];

async function inTurn(scenario: string, contenders: readonly Run[], rounds = ROUNDS): Promise<void> {
  const measured = new Map<string, Measurement[]>(contenders.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round += 1) for (const [name, run] of contenders) measured.get(name)?.push(await run());
  for (const [name, all] of measured) note({ scenario, name, measured: medianOf(all) });
}

/** The run of median speed, with the highest memory of all. */
function medianOf(all: readonly Measurement[]): Measurement {
  const bySpeed = [...all].sort((a, b) => a.seconds - b.seconds);
  const median = bySpeed[Math.floor(bySpeed.length / 2)] as Measurement;
  return { ...median, peakBytes: Math.max(...all.map(({ peakBytes }) => peakBytes)) };
}

/** The limit: the same bytes written to a file by this process, flushed, and removed. */
async function rawWrite(size: number): Promise<Measurement> {
  await writeAndRemove(size);
  const cpu = process.cpuUsage();
  const started = performance.now();
  await writeAndRemove(size);
  const seconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  return {
    bytes: size,
    requests: 1,
    seconds,
    cpuSeconds: (used.user + used.system) / 1e6,
    p50Ms: seconds * 1000,
    p99Ms: seconds * 1000,
    peakBytes: 0,
  };
}

const rows: Row[] = [];
const note = (row: Row): void => {
  rows.push(row);
  const { measured: m } = row;
  console.log(
    `${row.scenario} · ${row.name}: ${(m.bytes / MIB / m.seconds).toFixed(0)} MiB/s, ${(m.requests / m.seconds).toFixed(0)} req/s, ${((m.cpuSeconds / m.bytes) * 1024 * MIB).toFixed(2)} CPU-s/GiB, p99 ${m.p99Ms.toFixed(1)} ms, ${(m.peakBytes / MIB).toFixed(0)} MiB`,
  );
};
const wanted = (scenario: string, name: string): boolean =>
  only.every((word) => `${scenario} ${name}`.toLowerCase().includes(word.toLowerCase()));

try {
  // As in the image, what Node compiles at the first start is there already.
  await (await windlass(tmpfs)).stop();
  for (const { scenario, folder, work, before, rounds } of UPLOADS) {
    const limit: Run[] = scenario === '1 × 1 GiB' && only.length === 0 ? [['raw write and flush (limit)', () => rawWrite(work.size)]] : [];
    const contenders = UPLOADERS.filter(({ name }) => wanted(scenario, name));
    const runs = contenders.map((one): Run => [one.name, () => measure(one, folder, work, before)]);
    await inTurn(scenario, [...limit, ...runs], quick ? 1 : rounds);
  }
  for (const parallel of [1, 16, 64]) {
    const scenario = `presign, ${parallel} at once`;
    const countOf = ({ name }: Contender): number => scale(parallel === 1 ? 3000 : 12_000) / (name.includes('PUT') ? 4 : 1);
    const contenders = PRESIGNERS.filter(({ name }) => wanted(scenario, name));
    await inTurn(
      scenario,
      contenders.map((one): Run => [one.name, () => measure(one, tmpfs, { count: Math.ceil(countOf(one)), parallel, size: 1024 })]),
    );
  }
} finally {
  rmSync(disk, { recursive: true, force: true });
  rmSync(tmpfs, { recursive: true, force: true });
}
if (only.length === 0 && !quick) {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.version}`;
  mkdirSync(new URL('./results', import.meta.url), { recursive: true });
  writeFileSync(
    new URL('./results/latest.json', import.meta.url),
    `${JSON.stringify({ machine, at: new Date().toISOString(), rows }, null, 2)}\n`,
  );
  const limits = readFileSync(new URL('./limits.md', import.meta.url), 'utf8');
  const { page, plots } = performanceReport(rows, machine, limits);
  writeFileSync(new URL('../docs/performance.md', import.meta.url), page);
  rmSync(new URL('../docs/performance', import.meta.url), { recursive: true, force: true });
  mkdirSync(new URL('../docs/performance', import.meta.url));
  for (const [name, svg] of plots) writeFileSync(new URL(`../docs/performance/${name}`, import.meta.url), svg);
}
