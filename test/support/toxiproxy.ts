import type { StartedTestContainer } from 'testcontainers';
import { startToxiproxy } from '../services/servers.ts';

const CONTROL_PORT = 8474;

/** Where a server is, as the proxy's container reaches it. */
export interface Upstream {
  host: string;
  port: number;
}

/** https://github.com/Shopify/toxiproxy#toxics */
export type Toxic =
  | { type: 'latency'; attributes: { latency: number; jitter?: number } }
  | { type: 'bandwidth'; attributes: { rate: number } }
  | { type: 'timeout'; attributes: { timeout: number } }
  | { type: 'reset_peer'; attributes: { timeout: number } }
  | { type: 'limit_data'; attributes: { bytes: number } }
  | { type: 'slicer'; attributes: { average_size: number; size_variation: number; delay: number } };

/** What a toxic does is done to what servers are sent (`upstream`) or to their answers, on that share of the connections. */
interface Dose {
  stream: 'upstream' | 'downstream';
  toxicity?: number;
}

/** A Toxiproxy of our own: ways to servers that keep their address while servers come and go, and that can be made bad. */
export class Toxiproxy {
  readonly #container: StartedTestContainer;
  readonly #ports: number[];

  private constructor(container: StartedTestContainer, ports: number[]) {
    this.#container = container;
    this.#ports = ports;
  }

  /** For so many ways. */
  static async start(ways: number): Promise<Toxiproxy> {
    const ports = Array.from({ length: ways }, (_, index) => 10_000 + index);
    return new Toxiproxy(await startToxiproxy(ports), ports);
  }

  async lead(name: string, upstream: Upstream): Promise<Way> {
    const port = this.#ports.pop();
    if (port === undefined) throw new RangeError('the proxy was started for fewer ways');
    const host = this.#container.getHost();
    const control = `http://${host}:${this.#container.getMappedPort(CONTROL_PORT)}/proxies`;
    await asked('POST', control, { name, listen: `0.0.0.0:${port}`, upstream: textOf(upstream), enabled: true });
    return new Way(`${control}/${name}`, `${host}:${this.#container.getMappedPort(port)}`);
  }

  async stop(): Promise<void> {
    await this.#container.stop({ timeout: 1 });
  }
}

/** One way to one server. */
export class Way {
  /** Host and port, for whoever uses the server. */
  readonly address: string;
  readonly #control: string;

  constructor(control: string, address: string) {
    this.#control = control;
    this.address = address;
  }

  /** The server is somewhere else now. */
  leadTo(upstream: Upstream): Promise<void> {
    return this.#change({ upstream: textOf(upstream) });
  }

  /** Breaks every connection, and takes no new ones until `mend`. */
  sever(): Promise<void> {
    return this.#change({ enabled: false });
  }

  mend(): Promise<void> {
    return this.#change({ enabled: true });
  }

  /** Breaks every connection that there is. */
  async cut(): Promise<void> {
    await this.sever();
    await this.mend();
  }

  /** Until `cure`. A connection that was silenced by `timeout` is closed then. */
  async poison(toxic: Toxic, { stream, toxicity = 1 }: Dose): Promise<void> {
    await asked('POST', `${this.#control}/toxics`, { ...toxic, stream, toxicity, name: `${toxic.type} ${stream}` });
  }

  async cure(): Promise<void> {
    const toxics = (await (await asked('GET', `${this.#control}/toxics`)).json()) as { name: string }[];
    for (const { name } of toxics) await asked('DELETE', `${this.#control}/toxics/${encodeURIComponent(name)}`);
  }

  async #change(members: Record<string, unknown>): Promise<void> {
    await asked('POST', this.#control, members);
  }
}

async function asked(method: string, url: string, body?: unknown): Promise<Response> {
  const response = await fetch(url, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  if (!response.ok) throw new Error(`Toxiproxy answered ${response.status}: ${await response.text()}`);
  return response;
}

const textOf = ({ host, port }: Upstream): string => `${host}:${port}`;
