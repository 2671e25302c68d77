import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../../errors.ts';
import { syncFolder } from '../../disk/folders.ts';

const SECRET_BYTES = 32;
const SECRET_TEXT = /^[A-Za-z0-9_-]{43}$/;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * The key that signs links, made at the first start: 32 random bytes in base64url. Of processes that start at the same
 * time one makes it and all use it. Throws when the file holds something else: links already given out would break silently.
 */
export async function loadOrCreateSecret(file: string): Promise<string> {
  return (await load(file)) ?? (await create(file));
}

async function load(file: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  if (!SECRET_TEXT.test(text.trim())) throw new Error(`${file} does not hold a key; restore it, or remove it to have a new one made`);
  return text.trim();
}

async function create(file: string): Promise<string> {
  const made = await mkdir(dirname(file), { recursive: true, mode: FOLDER_MODE });
  if (made) await syncFolder(dirname(made));
  const temporary = `${file}.${randomBytes(8).toString('hex')}`;
  const handle = await open(temporary, 'wx', FILE_MODE);
  try {
    await handle.writeFile(`${randomBytes(SECRET_BYTES).toString('base64url')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await giveName(temporary, file);
  await syncFolder(dirname(file));
  const secret = await load(file);
  if (secret === null) throw new Error(`${file} was removed while it was being made`);
  return secret;
}

/** The first to take the name keeps it: a hard link never replaces a file. Without hard links the last one does. */
async function giveName(temporary: string, file: string): Promise<void> {
  try {
    await link(temporary, file);
  } catch (error) {
    if (codeOf(error) === 'EPERM' || codeOf(error) === 'ENOTSUP') await rename(temporary, file);
    else if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}
