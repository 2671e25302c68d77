import { type KeyArea, parseKey, timeOfId } from '../core/keys.ts';
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

/** Something that may have been written before the time asked for: what certainly was not is not listed. */
interface Found {
  key: string;
  owned(upload: Upload): boolean;
  /** What removes it; null when it was written later after all. Asked for only where there is no owner. */
  removal(): Promise<(() => Promise<unknown>) | null>;
}

type OrphanParts = Pick<Ports, 'uploads' | 'spool' | 'direct' | 'store'>;

/**
 * Everything on spool, disk and store, last written before `before` (epoch ms), that no record owns. A file is written
 * before its record: so what is younger than the grace period is not even looked up.
 */
export async function* findOrphans(parts: OrphanParts, kind: Orphan['kind'], before: number): AsyncGenerator<Orphan> {
  const { areas, list } = SOURCES[kind];
  for await (const batch of inBatches(list(parts, before))) {
    const ids = batch.map(({ key }) => idOf(key, areas)).filter((id) => id !== null);
    const owners = new Map((await parts.uploads.findMany(ids)).map((upload) => [upload.id, upload]));
    for (const { key, owned, removal } of batch) {
      const id = idOf(key, areas);
      const upload = id === null ? undefined : owners.get(id);
      if (upload && owned(upload)) continue;
      const remove = await removal();
      if (remove) yield { kind, key, foreign: id === null, remove };
    }
  }
}

export const ORPHAN_SOURCES = ['spool', 'direct', 'object', 'backup', 'staging', 'multipart'] as const satisfies Orphan['kind'][];

const SOURCES: Record<Orphan['kind'], { areas: readonly KeyArea[]; list: (parts: OrphanParts, before: number) => AsyncIterable<Found> }> = {
  spool: { areas: ['spool'], list: ({ spool }, before) => filesOn(spool, before, ownsSpooled) },
  direct: { areas: ['files'], list: ({ direct }, before) => filesOn(direct, before, ownsDirect) },
  object: { areas: ['files'], list: ({ store }, before) => objectsIn(store, 'files/', before, ownsObject) },
  backup: { areas: ['backups'], list: ({ store }, before) => objectsIn(store, 'backups/', before, ownsBackup) },
  staging: {
    areas: ['staging'],
    list: ({ store }, before) => objectsIn(store, 'staging/', before, (upload) => ownsStaged(upload, before)),
  },
  multipart: { areas: ['staging', 'files', 'backups'], list: ({ store }, before) => multipartsIn(store, before) },
};

function idOf(key: string, areas: readonly KeyArea[]): string | null {
  const parsed = parseKey(key);
  return parsed && areas.includes(parsed.area) ? parsed.id : null;
}

/** A file is written after its id was made: so most young ones are known by their names, and few files are asked about themselves. */
async function* filesOn(disk: Disk, before: number, owns: (upload: Upload, key: string) => boolean): AsyncGenerator<Found> {
  for await (const key of disk.keys('')) {
    const id = parseKey(key)?.id;
    if (id !== undefined && timeOfId(id) >= before) continue;
    const removal = async (): Promise<(() => Promise<void>) | null> => {
      const modifiedAt = (await disk.stat(key))?.modifiedAt;
      return modifiedAt !== undefined && modifiedAt < before ? () => removeUnchanged(disk, key, modifiedAt) : null;
    };
    yield { key, owned: (upload) => owns(upload, key), removal };
  }
}

/** A request that is repeated may have put its file there again since it was looked at. */
async function removeUnchanged(disk: Disk, key: string, modifiedAt: number): Promise<void> {
  if ((await disk.stat(key))?.modifiedAt === modifiedAt) await disk.remove(key);
}

async function* objectsIn(
  store: Ports['store'],
  prefix: string,
  before: number,
  owned: (upload: Upload) => boolean,
): AsyncGenerator<Found> {
  for await (const { key, modifiedAt } of store.list(prefix))
    if (modifiedAt < before) yield { key, owned, removal: async () => () => store.remove(key) };
}

/** Clients' below staging/; below files/ and backups/ those that large objects are put or copied by. */
async function* multipartsIn(store: Ports['store'], before: number): AsyncGenerator<Found> {
  for (const area of ['staging', 'files', 'backups'] as const)
    for await (const { key, multipartId, startedAt } of store.listMultiparts(`${area}/`)) {
      const owned = {
        staging: (upload: Upload): boolean => ownsMultipart(upload, multipartId),
        files: mayPutParts,
        backups: mayPutBackup,
      }[area];
      if (startedAt < before) yield { key, owned, removal: async () => () => store.abortMultipart(key, multipartId) };
    }
}
