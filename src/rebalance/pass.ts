import type { Placement } from '../core/placement.ts';
import type { Upload } from '../core/upload.ts';
import type { Members } from '../members.ts';
import type { Metrics } from '../metrics.ts';
import type { UploadRepository } from '../ports/upload-repository.ts';
import { inBatches, scanUploads } from '../reconcile/paging.ts';
import type { MoveOutcome, Mover, PlacedUpload } from './mover.ts';

/** What one pass over the files of one server found and did. */
export interface PassReport {
  node: string;
  checked: number;
  /** Files that belong on another server, and their bytes; those that were moved are among them. */
  misplaced: number;
  misplacedBytes: number;
  moved: number;
  movedBytes: number;
  /** Not moved, because a server is away or full, or somebody else is at it: the next pass tries again. */
  postponed: number;
  /** Of those, files that somebody else is at, such as a worker that makes a backup: soon over. */
  busy: number;
  /** Not moved, and the log says why: bytes that are gone or damaged, a server's own errors. */
  failed: number;
  /** The server does not answer: the pass ended there, or went on with what has a backup if everything there has to go. */
  unreachable: boolean;
}

export interface PassParts {
  uploads: Pick<UploadRepository, 'scan' | 'find'>;
  members: Members;
  mover: Pick<Mover, 'move' | 'forget'>;
  metrics: Pick<Metrics, 'rebalanceFiles' | 'rebalanceBytes'>;
}

export interface PassOptions {
  node: string;
  placement: Placement;
  /** Only ids greater than this one. */
  after?: string | undefined;
  dryRun: boolean;
  signal: AbortSignal;
  /** Told after every few files. */
  onProgress?: ((report: Readonly<PassReport>) => void) | undefined;
}

const AT_ONCE = 4;
/** How many servers a file is offered that has to leave its own. */
const MOST_ASKED = 3;

/** Looks at the direct files on one server, and moves those that belong elsewhere. Throws `repository_unavailable`, and the signal's reason. */
export async function runPass(parts: PassParts, options: PassOptions): Promise<PassReport> {
  const { node, after, signal, onProgress } = options;
  const report: PassReport = {
    node,
    checked: 0,
    misplaced: 0,
    misplacedBytes: 0,
    moved: 0,
    movedBytes: 0,
    postponed: 0,
    busy: 0,
    failed: 0,
    unreachable: false,
  };
  const query = { states: ['stored'] as const, node, ...(after === undefined ? {} : { after }) };
  for await (const batch of inBatches(scanUploads(parts.uploads, query), AT_ONCE)) {
    signal.throwIfAborted();
    await settleAll(batch.filter(isPlaced).map((upload) => consider(parts, options, upload, report)));
    onProgress?.(report);
    if (report.unreachable && !isLeaving(options)) break;
  }
  return report;
}

/** It is no member any more, and everything there has to go. */
const isLeaving = ({ node, placement }: Pick<PassOptions, 'node' | 'placement'>): boolean =>
  !placement.members.some(({ name }) => name === node);

const isPlaced = (upload: Upload): upload is PlacedUpload => upload.strategy === 'direct' && typeof upload.location?.node === 'string';

/** Nothing is left running behind the caller's back. */
async function settleAll(work: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

async function consider(parts: PassParts, options: PassOptions, upload: PlacedUpload, report: PassReport): Promise<void> {
  const { node, placement, dryRun, signal } = options;
  const { members, mover, metrics } = parts;
  report.checked += 1;
  const owner = placement.ownerOf(upload.id);
  if (owner === null || owner === node) {
    if (!dryRun) await mover.forget(upload);
    return;
  }
  report.misplaced += 1;
  report.misplacedBytes += upload.size;
  if (dryRun) return;
  const leaving = isLeaving(options);
  // Where the server is lost, only backups can be moved.
  if (report.unreachable && upload.backup?.state !== 'made') {
    report.postponed += 1;
    return;
  }
  const present = await members.candidates(upload.id);
  // A file that may stay waits for its owner; one that must leave goes to the next in rank.
  const targets = leaving ? present.slice(0, MOST_ASKED) : present.filter((name) => name === owner);
  const outcome = await moveToFirst(parts, upload, targets, signal);
  metrics.rebalanceFiles.inc({ outcome });
  if (outcome === 'moved') {
    metrics.rebalanceBytes.inc(upload.size);
    report.moved += 1;
    report.movedBytes += upload.size;
  } else if (outcome === 'unreachable') {
    report.postponed += 1;
    report.unreachable = true;
  } else if (outcome === 'damaged' || outcome === 'failed') report.failed += 1;
  else if (outcome !== 'changed') report.postponed += 1;
  if (outcome === 'busy') report.busy += 1;
}

async function moveToFirst(
  { uploads, members, mover }: PassParts,
  upload: PlacedUpload,
  targets: readonly string[],
  signal: AbortSignal,
): Promise<MoveOutcome> {
  let outcome: MoveOutcome = 'away';
  let current = upload;
  for (const target of targets) {
    outcome = await mover.move(current, target, signal);
    if (outcome === 'away') members.noteAway(target);
    if (outcome !== 'away' && outcome !== 'full') break;
    const next = await uploads.find(current.id);
    if (next?.state !== 'stored' || !isPlaced(next) || next.location.key !== current.location.key) return 'changed';
    current = next;
  }
  return outcome;
}
