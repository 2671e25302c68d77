import type { Addresses } from '../services/servers.ts';
import { RoundRobin } from './round-robin.ts';
import { openS3Store } from './s3-store.ts';
import type { Exit, LogLine, RunningServer, Settings } from './server.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { type Stack, startStack } from './stack.ts';

/** Two servers and two workers, used as if they were one: each connection goes to the other server than the one before. */
export async function startBalancedStack(servers: Addresses, settings: Settings): Promise<ServerUnderTest> {
  const balancer = await RoundRobin.open();
  try {
    const stack = await startStack(servers, { settings: { PUBLIC_URL: balancer.url, ...settings } });
    return new BalancedStack(servers, stack, balancer);
  } catch (error) {
    await balancer.close();
    throw error;
  }
}

class BalancedStack implements ServerUnderTest {
  readonly url: string;
  readonly port: number;
  readonly #servers: Addresses;
  readonly #stack: Stack;
  readonly #balancer: RoundRobin;
  #closing: Promise<void> | null = null;

  constructor(servers: Addresses, stack: Stack, balancer: RoundRobin) {
    this.#servers = servers;
    this.#stack = stack;
    this.#balancer = balancer;
    this.url = balancer.url;
    this.port = balancer.port;
    this.#lead();
  }

  get opsUrl(): string {
    return this.#first.opsUrl;
  }

  get opsPort(): number {
    return this.#first.opsPort;
  }

  get output(): string {
    return this.#processes.map(({ output }) => output).join('\n');
  }

  log(): LogLine[] {
    return this.#processes.flatMap((one) => one.log());
  }

  /** What lies on the servers' disks, and in the bucket: objects, and uploads in parts that are not complete. */
  async storedFiles(): Promise<string[]> {
    const { store, close } = await openS3Store(this.#servers.s3, this.#stack.settings.S3_BUCKET ?? '', { provision: false });
    try {
      const onDisk = await Promise.all(this.#stack.apis.map((api) => api.storedFiles()));
      const inStore: string[] = [];
      for await (const { key } of store.list('')) inStore.push(`store/${key}`);
      for await (const { key } of store.listMultiparts('')) inStore.push(`store/multipart/${key}`);
      return [...onDisk.flat(), ...inStore].sort();
    } finally {
      await close();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.stop()));
  }

  beginStop(): void {
    for (const one of this.#processes) one.beginStop();
  }

  async kill(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.kill()));
  }

  get exited(): Promise<Exit> {
    return Promise.all(this.#processes.map(({ exited }) => exited)).then(
      (exits) => exits.find(({ code }) => code !== 0) ?? { code: 0, signal: null },
    );
  }

  async restart(settings?: Settings): Promise<ServerUnderTest> {
    await Promise.all(this.#processes.map((one) => this.#stack.restart(one, settings)));
    this.#lead();
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= Promise.all([this.#balancer.close(), this.#stack[Symbol.asyncDispose]()]).then(() => undefined);
    return this.#closing;
  }

  get #processes(): RunningServer[] {
    return [...this.#stack.apis, ...this.#stack.workers];
  }

  get #first(): RunningServer {
    const [first] = this.#stack.apis;
    if (!first) throw new Error('the stack has no server');
    return first;
  }

  #lead(): void {
    this.#balancer.leadTo(this.#stack.apis.map(({ port }) => port));
  }
}
