import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { plan } from './answers.ts';

/** The server forgets what was not completed long before. */
const FORGET_AFTER_MS = 30 * 86400 * 1000;

const note = z.object({
  /** Makes asking for the upload again safe, should the answer to the first asking have got lost. */
  idempotencyKey: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Null until the server's answer has arrived. */
  uploadId: z.uuid().nullable(),
  /** How the file is cut into parts; null when it goes in one request. */
  plan: plan.nullable(),
});
export type Note = z.output<typeof note>;

/**
 * Notes about presigned uploads that are under way, one small file each, so that the same command continues them after a
 * crash. A note that is gone or damaged only costs sending again what was sent already.
 */
export class UnfinishedUploads {
  readonly #folder: string;

  /** `stateHome` is XDG_STATE_HOME. */
  constructor(stateHome: string) {
    this.#folder = join(stateHome, 'windlass', 'uploads');
  }

  /** The note about what `identity` describes: server, file and everything that goes into the request. */
  async find(identity: unknown): Promise<Note | null> {
    try {
      return note.parse(JSON.parse(await readFile(this.#path(identity), 'utf8')));
    } catch {
      return null;
    }
  }

  /** Replaces the note in one step. */
  async save(identity: unknown, content: Note): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#path(identity);
    const draft = `${path}.${randomUUID()}`;
    await writeFile(draft, JSON.stringify(content), { mode: 0o600 });
    await rename(draft, path);
  }

  async forget(identity: unknown): Promise<void> {
    await rm(this.#path(identity), { force: true });
  }

  /** Removes notes of uploads that nobody continued. */
  async sweep(now: number): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names) {
      const path = join(this.#folder, name);
      const found = await stat(path).catch(() => null);
      if (found && found.mtimeMs < now - FORGET_AFTER_MS) await rm(path, { force: true });
    }
  }

  #path(identity: unknown): string {
    const name = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32);
    return join(this.#folder, `${name}.json`);
  }
}
