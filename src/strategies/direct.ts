import { diskKeyOf } from '../core/keys.ts';
import { SHARED_DRIVE } from '../core/placement.ts';
import { dueBackup, type Upload } from '../core/upload.ts';
import { codeOf, WindlassError } from '../errors.ts';
import type { Members } from '../members.ts';
import type { Platform } from '../platform.ts';
import type { DiskFile } from '../ports/disk.ts';
import { type Acceptance, type AcceptanceParts, acceptFile, type ReceivedFile } from './received-file.ts';

export type DirectParts = AcceptanceParts & Pick<Platform, 'disks' | 'metrics'> & { members: Members };

/** How many servers are asked to take a file before the client is sent away. */
const MOST_ASKED = 5;

/** Strategy 1: the file stays on a server's disk, and is stored as soon as it is accepted. DIRECT_PLACEMENT says on whose. */
export class Direct {
  readonly strategy = 'direct';
  readonly #deps: DirectParts;

  constructor(deps: DirectParts) {
    this.#deps = deps;
  }

  /** A file to receive the bytes into. Throws `spool_full`, and `node_unavailable` when it belongs elsewhere and nobody answers there. */
  async open(tenant: string, id: string, expectedSize: number | null): Promise<DiskFile> {
    const { config } = this.#deps;
    const key = diskKeyOf('files', tenant, id);
    if (config.DIRECT_PLACEMENT === 'rendezvous') return this.#openAtOwner(id, key, expectedSize);
    return this.#openAt(config.DIRECT_PLACEMENT === 'shared' ? SHARED_DRIVE : config.NODE_NAME, key, expectedSize);
  }

  /** Throws `repository_unavailable`, and `node_unavailable` when the server that has the bytes is lost. */
  accept(received: ReceivedFile, acceptance: Acceptance): Promise<Upload> {
    const { file } = received;
    if (!(file instanceof PlacedFile)) throw new Error('the file was not opened here');
    const { key, node } = file;
    const location = { store: 'disk', bucket: null, key, node } as const;
    const { config, clock } = this.#deps;
    const place = { strategy: 'direct', location, backup: config.DIRECT_BACKUP ? dueBackup(clock()) : null } as const;
    return acceptFile(this.#deps, this.#deps.disks.directOf(node), received, acceptance, place);
  }

  /** With the owner, or, while that is away or full, with the next in rank: the file comes home when it can. */
  async #openAtOwner(id: string, key: string, expectedSize: number | null): Promise<DiskFile> {
    const { members, metrics } = this.#deps;
    const candidates = (await members.candidates(id)).slice(0, MOST_ASKED);
    const owner = (await members.placement()).ownerOf(id);
    let refusal: unknown = new WindlassError('node_unavailable', 'No server takes direct files right now.', { retryAfter: 30 });
    for (const node of candidates)
      try {
        const file = await this.#openAt(node, key, expectedSize);
        metrics.directPlaced.inc({ at: node === owner ? 'owner' : 'other' });
        return file;
      } catch (error) {
        const code = codeOf(error);
        if (code !== 'node_unavailable' && code !== 'spool_full') throw error;
        if (code === 'node_unavailable') members.noteAway(node);
        refusal = error;
      }
    throw refusal;
  }

  async #openAt(node: string, key: string, expectedSize: number | null): Promise<DiskFile> {
    return new PlacedFile(await this.#deps.disks.directOf(node).create(key, expectedSize), node);
  }
}

/** A file, and which server's disk it lies on. */
class PlacedFile implements DiskFile {
  readonly node: string;
  readonly #file: DiskFile;

  constructor(file: DiskFile, node: string) {
    this.#file = file;
    this.node = node;
  }

  get key(): string {
    return this.#file.key;
  }

  get size(): number {
    return this.#file.size;
  }

  write(chunks: readonly Uint8Array[]): Promise<void> {
    return this.#file.write(chunks);
  }

  commit(sha256?: string): Promise<void> {
    return this.#file.commit(sha256);
  }

  discard(): Promise<void> {
    return this.#file.discard();
  }
}
