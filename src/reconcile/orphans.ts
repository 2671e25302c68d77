import { type KeyArea, parseKey } from '../core/keys.ts';
import type { Upload } from '../core/upload.ts';
import type { Ports } from '../platform.ts';
import type { Disk } from '../ports/disk.ts';
import { mayPutBackup, mayPutParts, ownsBackup, ownsDirect, ownsMultipart, ownsObject, ownsSpooled, ownsStaged } from './ownership.ts';
import { inBatches } from './paging.ts';

/** Bytes that no record owns. */
export interface Orphan {
  kind: 'spool' | 'direct' | 'object' | 'backup' | 'staging' | 'multipart';
  key: string;
  /** Its name was not made by Windlass: somebody else's, so it is told of but never removed. */
  foreign: boolean;
  remove(): Promise<unknown>;
}

interface Found {
  key: string;
  /** When it was last written; epoch ms. */
  at: number;
  owned(upload: Upload): boolean;
  remove(): Promise<unknown>;
}

type OrphanParts = Pick<Ports, 'uploads' | 'spool' | 'direct' | 'store'>;

/**
 * Everything on spool, disk and store, last written before `before` (epoch ms), that no record owns. A file is written
 * before its record: so what is younger than the grace period is not even looked up.
 */
export async function* findOrphans(parts: OrphanParts, kind: Orphan['kind'], before: number): AsyncGenerator<Orphan> {
  const { areas, list } = SOURCES[kind];
  for await (const batch of inBatches(olderThan(list(parts, before), before))) {
    const ids = batch.map(({ key }) => idOf(key, areas)).filter((id) => id !== null);
    const owners = new Map((await parts.uploads.findMany(ids)).map((upload) => [upload.id, upload]));
    for (const { key, owned, remove } of batch) {
      const id = idOf(key, areas);
      const upload = id === null ? undefined : owners.get(id);
      if (!upload || !owned(upload)) yield { kind, key, foreign: id === null, remove };
    }
  }
}

export const ORPHAN_SOURCES = ['spool', 'direct', 'object', 'backup', 'staging', 'multipart'] as const satisfies Orphan['kind'][];

const SOURCES: Record<Orphan['kind'], { areas: readonly KeyArea[]; list: (parts: OrphanParts, before: number) => AsyncIterable<Found> }> = {
  spool: { areas: ['spool'], list: ({ spool }) => filesOn(spool, ownsSpooled) },
  direct: { areas: ['files'], list: ({ direct }) => filesOn(direct, ownsDirect) },
  object: { areas: ['files'], list: ({ store }) => objectsIn(store, 'files/', ownsObject) },
  backup: { areas: ['backups'], list: ({ store }) => objectsIn(store, 'backups/', ownsBackup) },
  staging: { areas: ['staging'], list: ({ store }, before) => objectsIn(store, 'staging/', (upload) => ownsStaged(upload, before)) },
  multipart: { areas: ['staging', 'files', 'backups'], list: ({ store }) => multipartsIn(store) },
};

function idOf(key: string, areas: readonly KeyArea[]): string | null {
  const parsed = parseKey(key);
  return parsed && areas.includes(parsed.area) ? parsed.id : null;
}

async function* olderThan(found: AsyncIterable<Found>, before: number): AsyncGenerator<Found> {
  for await (const one of found) if (one.at < before) yield one;
}

async function* filesOn(disk: Disk, owns: (upload: Upload, key: string) => boolean): AsyncGenerator<Found> {
  for await (const { key, modifiedAt } of disk.list(''))
    yield { key, at: modifiedAt, owned: (upload) => owns(upload, key), remove: () => removeUnchanged(disk, key, modifiedAt) };
}

/** A request that is repeated may have put its file there again since the listing. */
async function removeUnchanged(disk: Disk, key: string, modifiedAt: number): Promise<void> {
  if ((await disk.stat(key))?.modifiedAt === modifiedAt) await disk.remove(key);
}

async function* objectsIn(store: Ports['store'], prefix: string, owned: (upload: Upload) => boolean): AsyncGenerator<Found> {
  for await (const { key, modifiedAt } of store.list(prefix)) yield { key, at: modifiedAt, owned, remove: () => store.remove(key) };
}

/** Clients' below staging/; below files/ and backups/ those that large objects are put or copied by. */
async function* multipartsIn(store: Ports['store']): AsyncGenerator<Found> {
  for (const area of ['staging', 'files', 'backups'] as const)
    for await (const { key, multipartId, startedAt } of store.listMultiparts(`${area}/`)) {
      const owned = {
        staging: (upload: Upload): boolean => ownsMultipart(upload, multipartId),
        files: mayPutParts,
        backups: mayPutBackup,
      }[area];
      yield { key, at: startedAt, owned, remove: () => store.abortMultipart(key, multipartId) };
    }
}
