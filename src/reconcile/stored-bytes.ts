import type { Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import type { Platform } from '../platform.ts';

/** How many bytes of a stored upload are where its record says: null when nothing is there, undefined when its server does not answer. */
export async function storedSize(
  { store, disks }: Pick<Platform, 'store' | 'disks'>,
  { location }: Upload,
): Promise<number | null | undefined> {
  if (!location) return null;
  if (location.node === null) return (await store.head(location.key))?.size ?? null;
  try {
    return (await disks.directOf(location.node).stat(location.key))?.size ?? null;
  } catch (error) {
    if (codeOf(error) === 'node_unavailable') return undefined;
    throw error;
  }
}
