import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { ByteRange, DiskEntry } from '../../ports/disk.ts';
import type { WritableNodeDisk } from '../../ports/node-disks.ts';
import { isDiskKey } from '../disk/disk-key.ts';
import { ask, type Peer, refused } from './peer.ts';
import { RemoteFile } from './remote-file.ts';
import { Transfer } from './transfer.ts';

export interface RemoteDiskParts extends Peer {
  area: 'spool' | 'direct';
}

/** The disk of another server, over signed requests. */
export class RemoteDisk implements WritableNodeDisk {
  readonly #peer: Peer;
  readonly #area: 'spool' | 'direct';

  constructor({ area, ...peer }: RemoteDiskParts) {
    this.#peer = peer;
    this.#area = area;
  }

  async stat(key: string): Promise<DiskEntry | null> {
    const answer = await this.#ask('HEAD', key, [200, 404]);
    answer.resume();
    if (answer.statusCode === 404) return null;
    return { key, size: Number(answer.headers['content-length']), modifiedAt: Number(answer.headers['x-modified-at']) };
  }

  async read(key: string, range?: ByteRange): Promise<Readable | null> {
    if (range && !(range.start >= 0 && range.end >= range.start)) throw new RangeError(`not a range: ${range.start}-${range.end}`);
    const headers: Record<string, string> = range ? { Range: `bytes=${range.start}-${range.end}` } : {};
    const first = await this.#ask('GET', key, range ? [206, 404, 416] : [200, 404], headers);
    if (first.statusCode === 200 || first.statusCode === 206)
      return new Transfer({ peer: this.#peer, path: this.#pathOf(key), start: range?.start ?? 0, first });
    first.resume();
    // The range begins behind the end of the file.
    return first.statusCode === 416 ? Readable.from([], { objectMode: false }) : null;
  }

  create(key: string, expectedSize: number | null): Promise<RemoteFile> {
    return RemoteFile.open({ peer: this.#peer, key, path: this.#pathOf(key), expectedSize });
  }

  async remove(key: string): Promise<boolean> {
    const answer = await this.#ask('DELETE', key, [204, 404]);
    answer.resume();
    return answer.statusCode === 204;
  }

  async #ask(method: string, key: string, expected: number[], headers?: Record<string, string>): Promise<IncomingMessage> {
    const answer = await ask(this.#peer, method, this.#pathOf(key), headers);
    const { statusCode = 0, headers: said } = answer;
    // Without a length an answer that is cut would pass for a whole file.
    const whole = statusCode > 206 || statusCode === 204 || said['content-length'] !== undefined;
    if (!expected.includes(statusCode) || !whole) throw refused(this.#peer, answer);
    return answer;
  }

  /** A key that leads elsewhere is a RangeError, as on a disk of one's own, before it becomes an address. */
  #pathOf(key: string): string {
    if (!isDiskKey(key)) throw new RangeError(`not a key: ${JSON.stringify(key)}`);
    return `/internal/${this.#area}/${key}`;
  }
}
