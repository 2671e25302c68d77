/** No dot in front (so neither `.`, `..` nor a hidden file), no separator, no control character, nothing a shell or URL would change. */
const NAME = '[A-Za-z0-9_-][A-Za-z0-9._~-]{0,254}';
const SEGMENT = new RegExp(`^${NAME}$`);
const KEY = new RegExp(`^${NAME}(?:/${NAME})*$`);
const MAX_KEY_LENGTH = 1024;

export const isSegment = (text: string): boolean => SEGMENT.test(text);

export const isDiskKey = (key: string): boolean => key.length <= MAX_KEY_LENGTH && KEY.test(key);

/** The path of a key below `root`, a resolved path. Keys are made by core/keys.ts; anything that could lead elsewhere is a RangeError all the same. */
export function pathOfKey(root: string, key: string): string {
  if (!isDiskKey(key)) throw new RangeError(`not a key: ${JSON.stringify(key)}`);
  return `${root}/${key}`;
}

/** The innermost folder that holds every key with this prefix: '' or a key ending in a slash. */
export function folderOfPrefix(prefix: string): string {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  const rest = prefix.slice(folder.length);
  if ((folder !== '' && !isDiskKey(folder.slice(0, -1))) || (rest !== '' && !isSegment(rest)))
    throw new RangeError(`not a prefix: ${JSON.stringify(prefix)}`);
  return folder;
}
