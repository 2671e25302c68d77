import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Every file below the folders that hold clients' bytes, unfinished ones included; the database and keys are not among them. */
export async function storedFiles(dataDir: string): Promise<string[]> {
  const found = await Promise.all(['spool', 'direct', 'store'].map((folder) => filesBelow(join(dataDir, folder))));
  return found
    .flat()
    .map((path) => relative(dataDir, path))
    .sort();
}

async function filesBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
