import { diskKeyOf } from '../core/keys.ts';
import type { Upload } from '../core/upload.ts';
import type { Disk, DiskFile } from '../ports/disk.ts';
import { type Acceptance, type AcceptanceParts, acceptFile, type ReceivedFile } from './received-file.ts';

/** Strategy 2, the accepting side: the file waits in the spool, and the record asks for the job that moves it to the store. */
export class Relay {
  readonly strategy = 'relay';
  readonly #deps: AcceptanceParts & { spool: Disk };

  constructor(deps: AcceptanceParts & { spool: Disk }) {
    this.#deps = deps;
  }

  /** A file to receive the bytes into. Throws `spool_full`. */
  open(tenant: string, id: string, expectedSize: number | null): Promise<DiskFile> {
    return this.#deps.spool.create(diskKeyOf('spool', tenant, id), expectedSize);
  }

  /** Throws `repository_unavailable`. */
  accept(received: ReceivedFile, acceptance: Acceptance): Promise<Upload> {
    const { spool, config } = this.#deps;
    const spooled = { node: config.NODE_NAME, key: received.file.key };
    return acceptFile(this.#deps, spool, received, acceptance, { strategy: 'relay', spool: spooled });
  }
}
