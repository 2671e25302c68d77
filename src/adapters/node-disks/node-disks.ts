import { WindlassError } from '../../errors.ts';
import type { Disk } from '../../ports/disk.ts';
import type { NodeDisk, NodeDisks, WritableNodeDisk } from '../../ports/node-disks.ts';
import type { NodeEntry, NodeRepository } from '../../ports/node-repository.ts';
import { type Agents, closeAgents, openAgents } from './peer.ts';
import { RemoteDisk } from './remote-disk.ts';

export interface ServersDisksParts {
  /** Name of this server. */
  node: string;
  spool: Disk;
  /** Whether all servers and workers have the same folder as their spool. */
  spoolIsShared: boolean;
  direct: Disk;
  /** Whether all servers have the same folder for direct files. */
  directIsShared: boolean;
  /** Servers whose addresses are given. */
  listed: readonly Pick<NodeEntry, 'name' | 'url'>[];
  nodes: Pick<NodeRepository, 'find'>;
  /** Undefined where there is only this server. */
  secret: string | undefined;
  /** Epoch ms. */
  clock: () => number;
}

/** An address is asked for again after this time; a server that moved is found then. Milliseconds. */
const ADDRESS_MS = 5000;

/** This server's own disks as they are, those of others over HTTP. */
export class ServersDisks implements NodeDisks {
  readonly #parts: ServersDisksParts;
  readonly #agents: Agents = openAgents();
  readonly #addresses = new Map<string, { url: string; until: number }>();

  constructor(parts: ServersDisksParts) {
    this.#parts = parts;
  }

  spoolOf(node: string): NodeDisk {
    const { node: own, spool, spoolIsShared } = this.#parts;
    return node === own || spoolIsShared ? spool : this.#remote(node, 'spool');
  }

  directOf(node: string): WritableNodeDisk {
    const { node: own, direct, directIsShared } = this.#parts;
    return node === own || directIsShared ? direct : this.#remote(node, 'direct');
  }

  close(): void {
    closeAgents(this.#agents);
  }

  #remote(node: string, area: 'spool' | 'direct'): WritableNodeDisk {
    const { secret, clock } = this.#parts;
    if (secret === undefined) return new AbsentDisk(node);
    return new RemoteDisk({ node, area, secret, clock, agents: this.#agents, address: () => this.#addressOf(node) });
  }

  async #addressOf(node: string): Promise<string> {
    const { nodes, clock } = this.#parts;
    const known = this.#addresses.get(node);
    if (known && known.until > clock()) return known.url;
    const listed = this.#parts.listed.find(({ name }) => name === node);
    const entry = listed ?? (await nodes.find(node));
    if (!entry) throw unknownNode(node);
    this.#addresses.set(node, { url: entry.url, until: clock() + ADDRESS_MS });
    return entry.url;
  }
}

/** The disk of a server that cannot be asked. */
class AbsentDisk implements WritableNodeDisk {
  readonly #node: string;

  constructor(node: string) {
    this.#node = node;
  }

  async create(): Promise<never> {
    throw unknownNode(this.#node);
  }

  async stat(): Promise<never> {
    throw unknownNode(this.#node);
  }

  async read(): Promise<never> {
    throw unknownNode(this.#node);
  }

  async remove(): Promise<never> {
    throw unknownNode(this.#node);
  }
}

const unknownNode = (node: string): WindlassError =>
  new WindlassError('node_unavailable', `The file is on the server ${node}, whose address is not known.`, { retryAfter: 30 });
