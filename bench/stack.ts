/**
 * Measures the way to RabbitMQ, MongoDB and S3 beside raw PUTs to the same store in the same run: `npm run bench:stack`,
 * or `npm run bench:stack -- quick` for a tenth of the work. Needs Docker. Saves docs/performance-stack.md, unless quick.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { v7 } from 'uuid';
import { connectS3 } from '../src/adapters/object-store/s3/connection.ts';
import { S3Presigner } from '../src/adapters/object-store/s3/presigner.ts';
import { keyOf } from '../src/core/keys.ts';
import { startMongo, startRabbit, startS3 } from '../test/services/servers.ts';
import type { Connection } from './connection.ts';
import { EXCHANGES, load } from './scenarios.ts';
import { namesOf } from './server-names.ts';
import { type RunningServer, windlassWith } from './servers.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'windlass-bench-'));
const quick = process.argv.includes('quick');
const scale = (count: number): number => (quick ? Math.round(count / 10) : count);

const LOADS = [
  { name: '1 × 1 GiB', count: 1, parallel: 1, size: scale(1024) * MIB },
  { name: '16 × 64 MiB at once', count: 16, parallel: 16, size: scale(64) * MIB },
  { name: '1,000 × 64 KiB, 32 at once', count: scale(1000), parallel: 32, size: 64 * KIB },
];

const [mongo, rabbit, store] = await Promise.all([startMongo(), startRabbit(), startS3()]);
const endpoint = store.s3.endpoint.replace('localhost', '127.0.0.1');
const bucket = `bench-${v7().slice(-12)}`;
const settings = {
  RABBITMQ_URL: rabbit.url,
  S3_BUCKET: bucket,
  S3_ENDPOINT: endpoint,
  AWS_ACCESS_KEY_ID: store.s3.accessKeyId,
  AWS_SECRET_ACCESS_KEY: store.s3.secretAccessKey,
};
const docker = (...args: string[]): void => void execFileSync('docker', args, { stdio: 'ignore' });

const names = await namesOf({ mongodb: mongo.uri, rabbitmq: rabbit.url, s3: endpoint });
console.log(`on ${names.join(', ')}`);

interface Row {
  what: string;
  figure: string;
  beside: string;
}
const rows: Row[] = [];
const note = (what: string, figure: string, beside = ''): void => {
  rows.push({ what, figure, beside });
  console.log(`${quick ? '(a tenth of) ' : ''}${what}: ${figure}${beside && ` (${beside})`}`);
};
const fixed = (value: number, digits = 0): string => value.toLocaleString('en', { maximumFractionDigits: digits });

/** Seconds that presigned PUTs of the same bytes take, sent by this process with as little as can be. */
async function rawPuts({ count, parallel, size }: (typeof LOADS)[number]): Promise<number> {
  const credentials = { accessKeyId: store.s3.accessKeyId, secretAccessKey: store.s3.secretAccessKey };
  const connection = connectS3({ bucket, region: 'us-east-1', endpoint, publicEndpoint: null, pathStyle: true, credentials });
  const presigner = new S3Presigner({ connection, clock: Date.now });
  const put = async (http: Connection): Promise<number> => {
    const terms = { key: keyOf('staging', 'bench', v7()), size, contentType: 'application/octet-stream', sha256: null };
    const { url, headers } = await presigner.put({ ...terms, expiresAt: Date.now() + 600_000 });
    // The host is signed, and not the address that this connection goes to.
    const { pathname, search, host } = new URL(url);
    const body = { before: Buffer.alloc(0), size, after: Buffer.alloc(0) };
    const {
      status,
      body: text,
      ms,
    } = await http.send({ method: 'PUT', path: pathname + search, headers: { ...headers, Host: host }, body, rate: null });
    if (status !== 200) throw new Error(`the store answered ${status}: ${text.slice(0, 300)}`);
    return ms;
  };
  const server = {
    name: 'store',
    port: Number(new URL(endpoint).port),
    cpuSeconds: () => 0,
    peakBytes: () => 0,
    stop: async () => undefined,
  };
  const { seconds } = await load(server, put, { count, parallel, size });
  connection.close();
  return seconds;
}

interface Stored {
  state: string;
  createdAt: string;
  storedAt: string;
  history: { state: string; at: string }[];
}

interface Page {
  items: Stored[];
  nextCursor: string | null;
}

async function page(server: RunningServer, state: string, limit: number, cursor = ''): Promise<Page> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/v1/uploads?strategy=relay&state=${state}&limit=${limit}${cursor}`);
  return (await answer.json()) as Page;
}

/** Lists them only when nothing is left to be done: to list them all the time would be work for the server, too. */
async function allStored(server: RunningServer): Promise<Stored[]> {
  const isThere = async (state: string): Promise<boolean> => (await page(server, state, 1)).items.length > 0;
  while ((await isThere('queued')) || (await isThere('relaying'))) await new Promise((resolve) => setTimeout(resolve, 250));
  const found: Stored[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const { items, nextCursor } = await page(server, 'stored', 200, cursor);
    found.push(...items);
    cursor = nextCursor && `&cursor=${nextCursor}`;
  }
  return found;
}

/** Uploads are accepted while the broker is away; when it is back they go to the store, timed from the first to the last. */
async function drain(one: (typeof LOADS)[number]): Promise<void> {
  const server = await windlassWith(settings)(folder);
  try {
    docker('pause', rabbit.container.getId());
    // The first upload finds out that the broker is away.
    await load(server, EXCHANGES.relayRaw, { count: 1, parallel: 1, size: 1 });
    const accepted = await load(server, EXCHANGES.relayRaw, one);
    note(`${one.name}: accepted while the broker is away`, `${fixed(one.count / accepted.seconds)} requests/s`);
    const cpuBefore = server.cpuSeconds();
    docker('unpause', rabbit.container.getId());
    const all = await allStored(server);
    const cpu = server.cpuSeconds() - cpuBefore;
    const stored = all.slice(0, one.count);
    if (stored.length < one.count) throw new Error(`${stored.length} of ${one.count} uploads were stored`);
    const begun = Math.min(...stored.map(({ history }) => Date.parse(history.find(({ state }) => state === 'relaying')?.at ?? '')));
    const ended = Math.max(...stored.map(({ storedAt }) => Date.parse(storedAt)));
    const seconds = (ended - begun) / 1000;
    const rawSeconds = await rawPuts(one);
    const bytes = one.count * one.size;
    note(
      `${one.name}: relayed`,
      `${fixed(bytes / MIB / seconds)} MiB/s, ${fixed(one.count / seconds)} objects/s, ${fixed((cpu / bytes) * 1024 * MIB, 2)} CPU-s/GiB, ${fixed((cpu / one.count) * 1000, 1)} CPU-ms an object`,
      `raw PUT: ${fixed(bytes / MIB / rawSeconds)} MiB/s, ${fixed(one.count / rawSeconds)} objects/s; ratio ${(rawSeconds / seconds).toFixed(2)}`,
    );
    note(`${one.name}: peak RSS of the process`, `${fixed(server.peakBytes() / MIB)} MiB`);
  } finally {
    await server.stop();
  }
}

async function lag(): Promise<void> {
  const server = await windlassWith(settings)(folder);
  try {
    const count = scale(200);
    await load(server, EXCHANGES.relayRaw, { count, parallel: 1, size: 64 * KIB });
    const lags = (await allStored(server))
      .map(({ createdAt, storedAt }) => Date.parse(storedAt) - Date.parse(createdAt))
      .sort((a, b) => a - b);
    note(
      '64 KiB, one after the other: from accepted to stored',
      `p50 ${lags[Math.floor(lags.length / 2)]} ms, p99 ${lags[Math.floor(lags.length * 0.99)]} ms`,
    );
  } finally {
    await server.stop();
  }
}

async function presign(): Promise<void> {
  const server = await windlassWith({ ...settings, MONGODB_URI: mongo.uri })(folder);
  try {
    for (const parallel of [1, 16]) {
      const m = await load(server, EXCHANGES.presign, { count: scale(600), parallel, size: 1024 });
      note(
        `presign with the record in MongoDB, ${parallel} at once`,
        `${fixed(m.requests / m.seconds)} requests/s, p99 ${fixed(m.p99Ms, 1)} ms`,
      );
    }
  } finally {
    await server.stop();
  }
}

try {
  for (const one of LOADS) await drain(one);
  await lag();
  await presign();
  if (!quick) save();
} finally {
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([mongo, rabbit, store].map(({ container }) => container.stop({ timeout: 1 })));
}

function save(): void {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.version}`;
  const lines = rows.map(({ what, figure, beside }) => `| ${what} | ${figure} | ${beside} |`).join('\n');
  writeFileSync(
    new URL('../docs/performance-stack.md', import.meta.url),
    `# Performance on the real stack

<!-- Written by \`npm run bench:stack\`. -->

Measured in one run on ${machine}; client, Windlass (\`windlass all\`, records in SQLite where nothing else is said), and the servers on the same machine, by the names that they give themselves: ${names.join(', ')}. Ratios say something, absolute figures little.

| | | beside it |
| --- | --- | --- |
${lines}
`,
  );
}
