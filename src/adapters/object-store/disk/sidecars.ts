import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { LocalDisk } from '../../disk/local-disk.ts';

const record = z.object({
  etag: z.string(),
  size: z.number(),
  contentType: z.string().nullable(),
  sha256: z.string(),
});
const sidecar = z.object({ entries: z.array(record) });

/** Objects that are remembered: mostly those that are being uploaded, checked and moved. */
const MAX_REMEMBERED = 1000;

/** What an object's file does not say of itself. It holds for the file with this etag and for no other. */
export type SidecarEntry = z.infer<typeof record>;

/**
 * A small JSON file beside each object, in a tree of its own. It is written before the object is put in place and
 * describes both that one and the one it replaces: whichever of the two a crash leaves is described.
 */
export class Sidecars {
  readonly #disk: LocalDisk;
  /** What was found or written last: right for the file that has its etag, whatever has happened since. */
  readonly #remembered = new Map<string, SidecarEntry>();

  constructor(disk: LocalDisk) {
    this.#disk = disk;
  }

  /** Null when nothing is known of this very content. */
  async find(key: string, etag: string): Promise<SidecarEntry | null> {
    const remembered = this.#remembered.get(key);
    if (remembered?.etag === etag) return remembered;
    const found = (await this.#entries(key)).find((entry) => entry.etag === etag);
    if (found) this.#remember(key, found);
    return found ?? null;
  }

  /** Says what is about to become the object; `replaced` is the etag of the one that is there now. */
  async announce(key: string, entry: SidecarEntry, replaced: string | null): Promise<void> {
    const kept = replaced === null ? [] : (await this.#entries(key)).filter(({ etag }) => etag === replaced && etag !== entry.etag);
    const file = await this.#disk.createNote(pathOf(key));
    try {
      await file.write([Buffer.from(JSON.stringify({ entries: [entry, ...kept] }))]);
      await file.commit();
    } finally {
      await file.discard();
    }
    this.#remember(key, entry);
  }

  async remove(key: string): Promise<void> {
    this.#remembered.delete(key);
    await this.#disk.remove(pathOf(key));
  }

  /** Keys that have a sidecar last written before `before` (epoch ms). */
  async *keys(before: number): AsyncIterable<string> {
    for await (const { key, modifiedAt } of this.#disk.list('meta/')) if (modifiedAt < before) yield key.slice('meta/'.length);
  }

  #remember(key: string, entry: SidecarEntry): void {
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size >= MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    this.#remembered.set(key, entry);
  }

  async #entries(key: string): Promise<SidecarEntry[]> {
    const stream = await this.#disk.read(pathOf(key));
    if (!stream) return [];
    return parse(await text(stream))?.entries ?? [];
  }
}

const pathOf = (key: string): string => `meta/${key}`;

/** A sidecar that cannot be read says nothing. */
function parse(content: string): z.infer<typeof sidecar> | null {
  try {
    return sidecar.safeParse(JSON.parse(content)).data ?? null;
  } catch {
    return null;
  }
}
