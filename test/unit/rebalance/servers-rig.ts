import { join } from 'node:path';
import { v7 } from 'uuid';
import { LocalDisk } from '../../../src/adapters/disk/local-disk.ts';
import { diskKeyOf } from '../../../src/core/keys.ts';
import type { NewUpload, Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import { Members } from '../../../src/members.ts';
import type { Platform } from '../../../src/platform.ts';
import type { Disk } from '../../../src/ports/disk.ts';
import type { WritableNodeDisk } from '../../../src/ports/node-disks.ts';
import { Mover, type PlacedUpload } from '../../../src/rebalance/mover.ts';
import { Throttle } from '../../../src/rebalance/throttle.ts';
import { newUpload, openTestPlatform, type TestPlatform, writeFileTo } from '../../support/platform.ts';

const away = (node: string): WindlassError => new WindlassError('node_unavailable', `${node} is away`, { retryAfter: 1 });

/** The disks of several servers in one process; this process is `api-0`. */
export class ServersRig {
  readonly test: TestPlatform;
  readonly platform: Platform;
  readonly members: Members;
  readonly away = new Set<string>();
  readonly #disks = new Map<string, LocalDisk>();
  /** Called before each use of another's or the own disk. */
  onUse: (node: string, method: string) => void | Promise<void> = () => undefined;
  now = Date.now();

  private constructor(test: TestPlatform) {
    this.test = test;
    const disks = { spoolOf: (node: string) => this.#seen(node), directOf: (node: string) => this.#seen(node) };
    this.platform = { ...test.platform, direct: this.#seen('api-0') as unknown as Disk, disks, clock: () => this.now };
    this.members = new Members(this.platform);
  }

  static async open(names: readonly string[], environment = {}): Promise<ServersRig> {
    const settings = { DIRECT_PLACEMENT: 'rendezvous', INTERNAL_SECRET: 'a secret of all servers', NODE_NAME: 'api-0', ...environment };
    const rig = new ServersRig(await openTestPlatform(settings));
    for (const name of names) await rig.join(name);
    return rig;
  }

  join(name: string, weight: number | null = 1): Promise<void> {
    return this.platform.nodes.register({ name, url: `http://${name}`, seenAt: this.now, weight });
  }

  diskOf(node: string): LocalDisk {
    const known = this.#disks.get(node);
    if (known) return known;
    const disk = new LocalDisk({ root: join(this.test.dir, 'disks', node), minFreeBytes: 0, newId: () => v7() });
    this.#disks.set(node, disk);
    return disk;
  }

  mover(throttle = new Throttle(0, () => 0)): Mover {
    return new Mover({ ...this.platform, ledger: this.test.ledger, throttle });
  }

  /** A stored file on a server's disk. */
  async put(node: string, bytes: Uint8Array, fields: Partial<NewUpload> = {}): Promise<PlacedUpload> {
    const upload = newUpload(this.platform, bytes, { strategy: 'direct', ...fields });
    const key = diskKeyOf('files', upload.tenant, upload.id);
    await writeFileTo(this.diskOf(node), key, bytes);
    return (await this.test.ledger.create({ ...upload, location: { store: 'disk', bucket: null, key, node } })) as PlacedUpload;
  }

  find = async (id: string): Promise<Upload> => (await this.platform.uploads.find(id)) as Upload;

  async filesOn(node: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const key of this.diskOf(node).keys('')) keys.push(key);
    return keys;
  }

  close(): Promise<void> {
    return this.test.close();
  }

  /** As the others see it: nobody answers there while it is away. */
  #seen(node: string): WritableNodeDisk {
    return new Proxy(this.diskOf(node), {
      get: (disk, name) => {
        const member: unknown = Reflect.get(disk, name);
        if (typeof member !== 'function') return member;
        if (name === 'keys') return member.bind(disk);
        return async (...args: unknown[]) => {
          await this.onUse(node, String(name));
          if (this.away.has(node)) throw away(node);
          return member.apply(disk, args);
        };
      },
    });
  }
}
