import { createHash, randomUUID } from 'node:crypto';
import { constants, readFileSync } from 'node:fs';
import { access, open, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../config.ts';
import { parseTokens } from '../tokens.ts';
import { broken, checked, type Finding, ok, skipped, warning } from './finding.ts';
import { formatBytes } from './text.ts';

const NODE_MAJOR = 24;

export function checkNode(version: string): Finding {
  const major = Number.parseInt(version, 10);
  if (major >= NODE_MAJOR) return ok('node', version);
  return broken(
    'node',
    `${version} is too old`,
    `Run it with Node ${NODE_MAJOR} or newer: \`npm ci\` brings one along, which \`npx windlass\` uses.`,
  );
}

/** The folders that files are written to, each once: those of the strategies that are offered, and of embedded parts. */
export function foldersOf(config: Config): Record<string, string> {
  const { STRATEGIES, MONGODB_URI, RABBITMQ_URL, S3_BUCKET, DATA_DIR, SPOOL_DIR, DIRECT_DIR } = config;
  return {
    ...(MONGODB_URI && RABBITMQ_URL && S3_BUCKET ? {} : { DATA_DIR }),
    ...(STRATEGIES.includes('relay') ? { SPOOL_DIR } : {}),
    ...(STRATEGIES.includes('direct') ? { DIRECT_DIR } : {}),
  };
}

/** Writes a file, flushes it and its folder to the disk, removes it. */
export function checkFolder(name: string, path: string): Promise<Finding> {
  return checked(name, `Give the user that runs windlass the right to write to ${path}, or set ${name}.`, async () => {
    const found = await stat(path).catch(() => null);
    if (!found) return checkMissing(name, path);
    if (!found.isDirectory()) return broken(name, `${path} is no folder`, `Move it away, or set ${name}.`);
    const probe = join(path, `.doctor-${randomUUID()}`);
    try {
      await writeFlushed(probe, path);
    } finally {
      await rm(probe, { force: true });
    }
    return ok(name, `${path} can be written to and flushed`);
  });
}

/** Nothing is wrong with a folder that is not there yet, if it can be made. */
async function checkMissing(name: string, path: string): Promise<Finding> {
  let parent = dirname(path);
  while (!(await stat(parent).catch(() => null)) && parent !== dirname(parent)) parent = dirname(parent);
  await access(parent, constants.W_OK);
  return warning(name, `${path} does not exist yet`, 'The server makes it when it is needed, or make it now: windlass provision');
}

async function writeFlushed(file: string, folder: string): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile('windlass doctor');
    await handle.sync();
  } finally {
    await handle.close();
  }
  const parent = await open(folder);
  await parent.sync().finally(() => parent.close());
}

/** Above twice the watermark is comfortable, below it uploads are refused. */
export function checkSpace(name: string, path: string, minFree: number): Promise<Finding> {
  const subject = `space in ${name}`;
  return checked(subject, 'Check the disk.', async () => {
    const { bavail, bsize } = await statfs(path);
    const free = bavail * bsize;
    const detail = `${formatBytes(free)} free, MIN_FREE_BYTES is ${formatBytes(minFree)}`;
    if (free <= minFree) return broken(subject, detail, 'Uploads are answered 507: make room, or lower MIN_FREE_BYTES.');
    return free < 2 * minFree ? warning(subject, detail, 'Make room soon.') : ok(subject, detail);
  });
}

export function checkTokens({ TOKENS_FILE, HOST }: Config): Promise<Finding> {
  const advice = 'Make it with: windlass token --tenant NAME';
  return checked('tokens', advice, () => {
    if (!TOKENS_FILE) return skipped('tokens', `no TOKENS_FILE: whoever reaches ${HOST} on this machine is trusted`);
    const { size } = parseTokens(readFileSync(TOKENS_FILE, 'utf8'));
    return size === 0
      ? broken('tokens', `${TOKENS_FILE} has none, so nobody is let in`, advice)
      : ok('tokens', `${size} in ${TOKENS_FILE}`);
  });
}

/** Tenant of what the doctor leaves if it dies half-way: bytes without a record, which the reconciler removes. */
export const PROBE_TENANT = 'doctor';
export const PROBE_TYPE = 'application/octet-stream';

/** A few bytes that are different each time. */
export function probe(id: string): { bytes: Buffer; sha256: string } {
  const bytes = Buffer.from(`windlass doctor ${id}`);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
