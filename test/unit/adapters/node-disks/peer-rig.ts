import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import Koa, { type Context, type Middleware } from 'koa';
import { v7 } from 'uuid';
import { LocalDisk } from '../../../../src/adapters/disk/local-disk.ts';
import { internalEndpoint } from '../../../../src/adapters/node-disks/endpoint.ts';
import { type Agents, closeAgents, openAgents, type Peer } from '../../../../src/adapters/node-disks/peer.ts';
import { RemoteDisk } from '../../../../src/adapters/node-disks/remote-disk.ts';
import { isWindlassError } from '../../../../src/errors.ts';
import { openStream } from '../../../../src/http/receive/body.ts';
import { respondAndDrain } from '../../../../src/http/refusal.ts';
import { createHttpServer, listen } from '../../../../src/http/server.ts';
import { writeFileTo } from '../../../support/platform.ts';
import { newKey } from '../../../support/samples.ts';
import { TcpProxy } from '../../../support/tcp-proxy.ts';

export const SECRET = 'a secret that all servers have';
export const NODE = 'api-7';
/** How many files the server takes at the same time. */
export const MOST_AT_ONCE = 3;

/** A server's disk behind the real endpoint, with a TCP proxy between it and whoever asks. */
export class PeerRig {
  readonly spool: LocalDisk;
  readonly direct: LocalDisk;
  readonly proxy: TcpProxy;
  /** Requests that reached the server. */
  readonly seen: IncomingMessage[] = [];
  /** Of the server, without the proxy. */
  readonly url: string;
  readonly root: string;
  readonly #agents: Agents = openAgents();
  readonly #endpoint: Middleware;
  readonly #end: () => Promise<void>;

  private constructor(parts: { root: string; minFreeBytes: number; url: string; proxy: TcpProxy; end: () => Promise<void> }) {
    const disk = (name: string) => new LocalDisk({ root: join(parts.root, name), minFreeBytes: parts.minFreeBytes, newId: () => v7() });
    this.spool = disk('spool');
    this.direct = disk('direct');
    this.url = parts.url;
    this.root = parts.root;
    this.proxy = parts.proxy;
    this.#end = parts.end;
    this.#endpoint = internalEndpoint({
      node: NODE,
      spool: this.spool,
      direct: this.direct,
      secret: SECRET,
      clock: Date.now,
      maxReceiving: MOST_AT_ONCE,
      openBody: (ctx: Context): Readable => openStream(ctx, { idleMs: 60_000, minBytesPerSecond: 0 }),
    });
  }

  static async open({ minFreeBytes = 0 } = {}): Promise<PeerRig> {
    const root = await mkdtemp(join(tmpdir(), 'windlass-peer-'));
    const app = new Koa();
    app.on('error', () => undefined);
    app.use((ctx) => rig.#serve(ctx));
    const server = createHttpServer(app);
    const url = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
    const proxy = await TcpProxy.open(url);
    const end = async (): Promise<void> => {
      await proxy.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
    };
    const rig = new PeerRig({ root, minFreeBytes, url, proxy, end });
    return rig;
  }

  /** The disk as another server has it. */
  remote(area: 'spool' | 'direct', peer: Partial<Peer> = {}): RemoteDisk {
    const address = async (): Promise<string> => this.proxy.url.replace(/\/$/, '');
    return new RemoteDisk({
      node: NODE,
      area,
      address,
      secret: SECRET,
      clock: Date.now,
      agents: this.#agents,
      patienceMs: 1000,
      ...peer,
    });
  }

  async put(bytes: Uint8Array, area: 'spool' | 'direct' = 'direct'): Promise<string> {
    const key = newKey();
    await writeFileTo(this[area], key, bytes);
    return key;
  }

  /** The Range of each GET. */
  ranges(): (string | undefined)[] {
    return this.seen.filter(({ method }) => method === 'GET').map(({ headers }) => headers.range);
  }

  /** Paths of all files below the folder of direct files, those that are not finished too. */
  async directFiles(): Promise<string[]> {
    const entries = await readdir(join(this.root, 'direct'), { recursive: true, withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  }

  async close(): Promise<void> {
    closeAgents(this.#agents);
    await this.#end();
  }

  /** The endpoint below an error mapper as small as can be. */
  async #serve(ctx: Context): Promise<void> {
    this.seen.push(ctx.req);
    try {
      await this.#endpoint(ctx as Parameters<Middleware>[0], async () => undefined);
    } catch (error) {
      await respondAndDrain(ctx, isWindlassError(error) ? error.status : 500, {}, String(error));
    }
  }
}
