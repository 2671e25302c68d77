import { createHash } from 'node:crypto';
import type { Upload } from './core/upload.ts';
import { codeOf } from './errors.ts';
import type { Platform } from './platform.ts';
import { findOrphans, ORPHAN_SOURCES } from './reconcile/orphans.ts';
import { inBatches, scanUploads } from './reconcile/paging.ts';
import { abandonedBefore } from './reconcile/sweep-unfinished.ts';

type AuditParts = Pick<Platform, 'uploads' | 'spool' | 'direct' | 'disks' | 'store' | 'config' | 'clock'>;

export interface AuditOptions {
  /** What is younger is still in motion and no problem. */
  graceSeconds: number;
  /** Reads every byte and compares its SHA-256; otherwise only sizes. */
  hash: boolean;
}

type BytesProblem = 'missing_bytes' | 'unreachable' | 'size_mismatch' | 'digest_mismatch';
type BackupProblem = 'backup_missing' | 'backup_damaged';

interface AuditProblem {
  kind: BytesProblem | BackupProblem | 'orphan' | 'foreign' | 'undelivered' | 'stuck';
  /** Id of the upload, or the key of bytes that belong to none. */
  subject: string;
  detail: string;
}

export interface AuditReport {
  /** Records looked at. */
  checked: number;
  /** Bytes that were read and hashed. */
  hashedBytes: number;
  problems: AuditProblem[];
}

const AT_ONCE = 8;
const RECHECKS = 5;
const UNDELIVERED_LISTED = 1000;

/**
 * Whether the platform keeps its promises, looked at from outside: every accepted upload is there with its size and
 * SHA-256, nothing is there that no record owns, and nothing has come to a standstill. Changes nothing; can run while
 * uploads go on. Throws `repository_unavailable` or `store_unavailable` when it cannot look.
 */
export async function audit(parts: AuditParts, options: AuditOptions): Promise<AuditReport> {
  const report: AuditReport = { checked: 0, hashedBytes: 0, problems: [] };
  const before = parts.clock() - options.graceSeconds * 1000;
  for await (const batch of inBatches(scanUploads(parts.uploads, {}), AT_ONCE)) {
    const found = await Promise.all(batch.map((upload) => problemsOf(parts, upload, before, options, report)));
    report.problems.push(...found.flat());
    report.checked += batch.length;
  }
  report.problems.push(...(await undelivered(parts, before)));
  for (const kind of ORPHAN_SOURCES)
    for await (const { key, foreign } of findOrphans(parts, kind, before))
      report.problems.push({ kind: foreign ? 'foreign' : 'orphan', subject: key, detail: `no record owns this (${kind})` });
  report.problems.push(...(await unfinished(parts, options.graceSeconds)));
  return report;
}

/** A record that changes while its bytes are read is looked at again: relaying moves bytes, deleting removes them. */
async function problemsOf(
  parts: AuditParts,
  first: Upload,
  before: number,
  options: AuditOptions,
  report: AuditReport,
): Promise<AuditProblem[]> {
  let upload = first;
  for (let check = 0; ; check += 1) {
    const problems = await problemsNow(parts, upload, before, options, report);
    if (problems.length === 0) return [];
    const current = await parts.uploads.find(upload.id);
    if (!current) return [];
    if (current.version === upload.version || check === RECHECKS) return problems;
    upload = current;
  }
}

async function problemsNow(
  parts: AuditParts,
  upload: Upload,
  before: number,
  options: AuditOptions,
  report: AuditReport,
): Promise<AuditProblem[]> {
  const stuck = stuckProblem(upload, before);
  if (stuck) return [stuck];
  const found = [await bytesProblem(parts, upload, options, report), await backupProblem(parts, upload, before, options, report)];
  return found.filter((problem) => problem !== null);
}

function stuckProblem({ id, state, updatedAt, expiresAt, lease }: Upload, before: number): AuditProblem | null {
  const stuck = (detail: string): AuditProblem => ({ kind: 'stuck', subject: id, detail });
  if (state === 'pending' && expiresAt !== null && expiresAt < before) return stuck('pending, though its time is over');
  if (state === 'queued' && updatedAt < before) return stuck('queued, and nothing has happened for longer than the grace period');
  if ((state === 'relaying' || state === 'verifying') && (lease?.expiresAt ?? updatedAt) < before)
    return stuck(`${state}, and nobody holds a lease on it`);
  return null;
}

interface Bytes {
  where: string;
  size(): Promise<number | null>;
  read(): Promise<AsyncIterable<Uint8Array> | null>;
}

/** Where the bytes of an acknowledged upload must be; null where none are promised. */
function bytesOf({ disks, store }: AuditParts, { state, strategy, location, spool: spooled }: Upload): Bytes | null {
  if (state === 'stored' && location) {
    const { key, node } = location;
    if (node === null)
      return { where: `${location.store} ${key}`, size: async () => (await store.head(key))?.size ?? null, read: () => store.read(key) };
    const disk = disks.directOf(node);
    return { where: `disk of ${node} ${key}`, size: async () => (await disk.stat(key))?.size ?? null, read: () => disk.read(key) };
  }
  if (strategy !== 'relay' || !['queued', 'relaying', 'failed'].includes(state)) return null;
  if (!spooled) return null;
  const { node, key } = spooled;
  const disk = disks.spoolOf(node);
  return { where: `spool of ${node} ${key}`, size: async () => (await disk.stat(key))?.size ?? null, read: () => disk.read(key) };
}

async function bytesProblem(parts: AuditParts, upload: Upload, { hash }: AuditOptions, report: AuditReport): Promise<AuditProblem | null> {
  const bytes = bytesOf(parts, upload);
  if (!bytes) return null;
  try {
    return await problemWith(bytes, upload, hash, report);
  } catch (error) {
    if (codeOf(error) !== 'node_unavailable') throw error;
    return { kind: 'unreachable', subject: upload.id, detail: `${bytes.where}: that server does not answer` };
  }
}

/** Of a direct file: the copy that its record names, or that it should have by now. */
async function backupProblem(
  { store, config }: AuditParts,
  upload: Upload,
  before: number,
  { hash }: AuditOptions,
  report: AuditReport,
): Promise<AuditProblem | null> {
  const { id, strategy, state, backup, storedAt } = upload;
  if (state !== 'stored' || strategy !== 'direct') return null;
  const missing = (detail: string): AuditProblem => ({ kind: 'backup_missing', subject: id, detail: `${detail}: run windlass backup` });
  if (backup?.state === 'failed') return missing(`given up after ${backup.attempts} tries (${backup.error.code})`);
  if (backup?.state === 'due') return backup.since < before ? missing('still to be made after the grace period') : null;
  if (!backup) return config.DIRECT_BACKUP && (storedAt ?? 0) < before ? missing('none was ever asked for') : null;
  const { key } = backup;
  const bytes: Bytes = {
    where: `backup in ${backup.store} ${key}`,
    size: async () => (await store.head(key))?.size ?? null,
    read: () => store.read(key),
  };
  const problem = await problemWith(bytes, upload, hash, report);
  if (!problem) return null;
  const kind = problem.kind === 'missing_bytes' ? 'backup_missing' : 'backup_damaged';
  return { ...problem, kind, detail: `${problem.detail}: run windlass backup --check` };
}

async function problemWith(bytes: Bytes, upload: Upload, hash: boolean, report: AuditReport): Promise<AuditProblem | null> {
  const problem = (kind: AuditProblem['kind'], detail: string): AuditProblem => ({
    kind,
    subject: upload.id,
    detail: `${bytes.where}: ${detail}`,
  });
  const size = await bytes.size();
  if (size === null) return problem('missing_bytes', 'nothing is there');
  if (size !== upload.size) return problem('size_mismatch', `${size} bytes instead of ${upload.size}`);
  if (!hash || upload.sha256 === null) return null;
  const content = await bytes.read();
  if (!content) return problem('missing_bytes', 'nothing is there');
  const digest = createHash('sha256');
  for await (const chunk of content) {
    digest.update(chunk);
    report.hashedBytes += chunk.length;
  }
  const actual = digest.digest('hex');
  return actual === upload.sha256 ? null : problem('digest_mismatch', `SHA-256 ${actual} instead of ${upload.sha256}`);
}

async function undelivered({ uploads }: AuditParts, before: number): Promise<AuditProblem[]> {
  const waiting = await uploads.undelivered(before, UNDELIVERED_LISTED);
  return waiting.map(({ id, outbox }) => ({
    kind: 'undelivered',
    subject: id,
    detail: `${outbox.length} message(s) not published for longer than the grace period`,
  }));
}

async function unfinished({ spool, direct, config, clock }: AuditParts, graceSeconds: number): Promise<AuditProblem[]> {
  const before = abandonedBefore(clock(), graceSeconds, config);
  const counts = { spool: await spool.sweepUnfinished(before, false), direct: await direct.sweepUnfinished(before, false) };
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([subject, count]) => ({ kind: 'orphan', subject, detail: `${count} unfinished file(s) that nobody writes to` }));
}
