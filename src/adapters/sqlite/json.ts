import type { SQLOutputValue } from 'node:sqlite';

/**
 * Functions on JSON text that SQL calls, so that a change of a document is one statement. (SQLite's own json_patch
 * takes a null for "remove", and json_insert appends one item at a time.)
 */

/** `document` with the members of `changes` in place of its own. Members that this version does not know stay. */
export const mergeMembers = (document: SQLOutputValue, changes: SQLOutputValue): string =>
  JSON.stringify({ ...JSON.parse(String(document)), ...JSON.parse(String(changes)) });

export function appendItems(list: SQLOutputValue, items: SQLOutputValue): string {
  if (items === '[]') return String(list);
  if (list === '[]') return String(items);
  return JSON.stringify([...JSON.parse(String(list)), ...JSON.parse(String(items))]);
}

/** `list` without the items whose `id` is among `ids`. */
export function withoutItems(list: SQLOutputValue, ids: SQLOutputValue): string {
  const gone = new Set<string>(JSON.parse(String(ids)));
  return JSON.stringify(JSON.parse(String(list)).filter((item: { id: string }) => !gone.has(item.id)));
}
