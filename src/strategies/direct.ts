import { keyOf } from '../core/keys.ts';
import type { Upload } from '../core/upload.ts';
import type { Disk, DiskFile } from '../ports/disk.ts';
import { type Acceptance, type AcceptanceParts, acceptFile, type ReceivedFile } from './received-file.ts';

/** Strategy 1: the file stays on this server's disk, and is stored as soon as it is accepted. */
export class Direct {
  readonly strategy = 'direct';
  readonly #deps: AcceptanceParts & { direct: Disk };

  constructor(deps: AcceptanceParts & { direct: Disk }) {
    this.#deps = deps;
  }

  /** A file to receive the bytes into. Throws `spool_full`. */
  open(tenant: string, id: string, expectedSize: number | null): Promise<DiskFile> {
    return this.#deps.direct.create(keyOf('files', tenant, id), expectedSize);
  }

  /** Throws `repository_unavailable`. */
  accept(received: ReceivedFile, acceptance: Acceptance): Promise<Upload> {
    const { direct, config } = this.#deps;
    const location = { store: 'disk', bucket: null, key: received.file.key, node: config.NODE_NAME } as const;
    return acceptFile(this.#deps, direct, received, acceptance, { strategy: 'direct', location });
  }
}
