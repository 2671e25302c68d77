/**
 * Where an upload's bytes lie, computed from its tenant and id alone: names that clients choose never reach a path.
 * A hundred-odd folders by the id's last (random) digits keep listings and directories small.
 */
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TENANT = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

export type KeyArea = 'files' | 'staging' | 'spool';

export const isUploadId = (text: string): boolean => UUID_V7.test(text);
export const isTenant = (text: string): boolean => TENANT.test(text);

/** `AREA/TENANT/SHARD/ID`. Throws a RangeError for a tenant or id that is not well-formed: callers have validated both. */
export function keyOf(area: KeyArea, tenant: string, id: string): string {
  if (!isTenant(tenant)) throw new RangeError(`not a tenant: ${JSON.stringify(tenant)}`);
  if (!isUploadId(id)) throw new RangeError(`not an upload id: ${JSON.stringify(id)}`);
  return `${area}/${tenant}/${id.slice(-2)}/${id}`;
}

/** The inverse of keyOf; null for anything that keyOf did not make. */
export function parseKey(key: string): { area: KeyArea; tenant: string; id: string } | null {
  const [area, tenant, shard, id, ...rest] = key.split('/');
  if (rest.length > 0 || (area !== 'files' && area !== 'staging' && area !== 'spool')) return null;
  if (!tenant || !isTenant(tenant) || !id || !isUploadId(id) || shard !== id.slice(-2)) return null;
  return { area, tenant, id };
}
