/**
 * Where an upload's bytes lie, computed from its tenant and id alone: names that clients choose never reach a path.
 * 256 folders, by two digits of the id, keep listings and directories small.
 */
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TENANT = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

const AREAS = ['files', 'staging', 'spool', 'backups'] as const;
export type KeyArea = (typeof AREAS)[number];

export const isUploadId = (text: string): boolean => UUID_V7.test(text);
export const isTenant = (text: string): boolean => TENANT.test(text);

/** When an id was made; epoch ms (RFC 9562, section 5.7). */
export const timeOfId = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

/** Random digits: an object store, which keeps neighbouring keys together, is to spread what arrives at the same time. */
const randomShard = (id: string): string => id.slice(-2);

/** The same for a quarter of a second, and again after a minute: files that arrive at the same time share the flush of their folder. */
const timeShard = (id: string): string => id.slice(9, 11);

/**
 * `AREA/TENANT/SHARD/ID`: the key of an object. Throws a RangeError for a tenant or id that is not well-formed: callers
 * have validated both.
 */
export const keyOf = (area: KeyArea, tenant: string, id: string): string => keyIn(area, tenant, id, randomShard);

/** The key of a file on a server's disk, of the same form. Throws as `keyOf` does. */
export const diskKeyOf = (area: 'files' | 'spool', tenant: string, id: string): string => keyIn(area, tenant, id, timeShard);

function keyIn(area: KeyArea, tenant: string, id: string, shardOf: (id: string) => string): string {
  if (!isTenant(tenant)) throw new RangeError(`not a tenant: ${JSON.stringify(tenant)}`);
  if (!isUploadId(id)) throw new RangeError(`not an upload id: ${JSON.stringify(id)}`);
  return `${area}/${tenant}/${shardOf(id)}/${id}`;
}

/**
 * Where the copy of a direct file lies in the object store: no link is ever signed for it. An upload's bytes never change,
 * so there is one for each, wherever the file moves.
 */
export const backupKeyOf = ({ tenant, id }: { tenant: string; id: string }): string => keyOf('backups', tenant, id);

/** Twelve hexadecimal digits that a copy's name ends with. */
const COPY_MARK = /~[0-9a-f]{12}$/;

/**
 * A name for a copy of a direct file on another server. No name is ever used twice (`mark`, lower-case hex, is random), so
 * whoever removes what is left of an old copy cannot hit a new one.
 */
export function copyKeyOf(key: string, mark: string): string {
  const copy = `${key.replace(COPY_MARK, '')}~${mark}`;
  if (parseKey(copy)?.area !== 'files') throw new RangeError(`not the key of a copy: ${JSON.stringify(copy)}`);
  return copy;
}

/** Whether two keys are those of the same file, copied or not. */
export const isSameFile = (a: string, b: string): boolean => a.replace(COPY_MARK, '') === b.replace(COPY_MARK, '');

/** The inverse of keyOf, diskKeyOf and copyKeyOf; null for anything that they did not make. */
export function parseKey(key: string): { area: KeyArea; tenant: string; id: string } | null {
  const [first, tenant, shard, name = '', ...rest] = key.split('/');
  const area = AREAS.find((one) => one === first);
  if (rest.length > 0 || !area) return null;
  const id = area === 'files' ? name.replace(COPY_MARK, '') : name;
  if (!tenant || !isTenant(tenant) || !id || !isUploadId(id)) return null;
  const onDisk = area === 'files' || area === 'spool';
  if (shard !== randomShard(id) && !(onDisk && shard === timeShard(id))) return null;
  return { area, tenant, id };
}
