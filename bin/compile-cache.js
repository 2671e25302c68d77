import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cachedDataVersionTag } from 'node:v8';

/**
 * Node keeps what it compiled in a folder whose name has the user's id, and an image does not know which user will run
 * it. So the folder that was filled while the image was built is linked to where Node will look for this user's. Does
 * nothing outside an image, and where version or processor differ; without the link only the start takes longer.
 */
export function linkShippedCache() {
  // As GetCacheVersionTag in Node's src/compile_cache.cc names it; the image was built by root.
  const tag = `${process.version}-${process.arch}-${cachedDataVersionTag().toString(16).padStart(8, '0')}`;
  const shipped = fileURLToPath(new URL(`../.compile-cache/${tag}-0`, import.meta.url));
  if (!existsSync(shipped)) return;
  const folder = join(tmpdir(), 'node-compile-cache');
  try {
    mkdirSync(folder, { recursive: true });
    symlinkSync(shipped, join(folder, `${tag}-${process.getuid?.()}`));
  } catch {
    // It is there since an earlier start, or nothing can be written.
  }
}
