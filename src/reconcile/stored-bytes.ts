import type { Upload } from '../core/upload.ts';
import type { Platform } from '../platform.ts';

/** How many bytes of a stored upload are where its record says: null when nothing is there, undefined when that is another server's disk. */
export async function storedSize(
  { store, direct, config }: Pick<Platform, 'store' | 'direct' | 'config'>,
  { location }: Upload,
): Promise<number | null | undefined> {
  if (!location) return null;
  if (location.node === null) return (await store.head(location.key))?.size ?? null;
  if (location.node !== config.NODE_NAME) return undefined;
  return (await direct.stat(location.key))?.size ?? null;
}
