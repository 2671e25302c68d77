import { getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers';
import { type Addresses, RABBITMQ_METRICS_PORT, startMongo, startRabbit, startS3 } from '../services/servers.ts';
import { Toxiproxy, type Upstream, type Way } from './toxiproxy.ts';

/** A server of our own that may be stopped, behind a way whose address stays the same. */
export class FragileServer {
  readonly way: Way;
  readonly #container: StartedTestContainer;
  readonly #port: number;

  constructor(container: StartedTestContainer, port: number, way: Way) {
    this.#container = container;
    this.#port = port;
    this.way = way;
  }

  /** It takes connections still (the kernel does), but answers nothing. */
  async pause(): Promise<void> {
    await (await this.#docker()).pause();
  }

  async unpause(): Promise<void> {
    await (await this.#docker()).unpause();
  }

  /** With SIGKILL: it has no time to write anything down. Connections are refused from then on. */
  async kill(): Promise<void> {
    await Promise.all([(await this.#docker()).kill(), this.way.sever()]);
  }

  /** Again, with the data that it had. It may take a while until it answers. */
  async start(): Promise<void> {
    await (await this.#docker()).start();
    await this.way.leadTo(await upstreamOf(this.#container, this.#port));
    await this.way.mend();
  }

  /** Whatever was done to it. */
  async heal(): Promise<void> {
    const { State } = await (await this.#docker()).inspect();
    if (State.Paused) await this.unpause();
    if (!State.Running) await this.start();
    await this.way.cure();
    await this.way.mend();
  }

  async #docker() {
    return (await getContainerRuntimeClient()).container.getById(this.#container.getId());
  }
}

export interface FragileServers {
  addresses: Addresses;
  mongo: FragileServer;
  rabbit: FragileServer;
  store: FragileServer;
  /** Host and port of RabbitMQ's own exporter. */
  rabbitMetrics: string;
  heal(): Promise<void>;
  stop(): Promise<void>;
}

/** MongoDB, RabbitMQ and S3 that nobody else uses. Where one does not start, none is left. */
export async function startFragileServers(): Promise<FragileServers> {
  const started: { stop(): Promise<unknown> }[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(started.map((one) => one.stop())));
  const kept = async <T>(starting: Promise<T>, stopperOf: (server: T) => { stop(): Promise<unknown> }): Promise<T> => {
    const server = await starting;
    started.push(stopperOf(server));
    return server;
  };
  const contained = <T extends { container: StartedTestContainer }>(starting: Promise<T>): Promise<T> =>
    kept(starting, ({ container }) => ({ stop: () => container.stop({ timeout: 1 }) }));
  const starting = [
    kept(Toxiproxy.start(3), (proxy) => proxy),
    contained(startMongo()),
    contained(startRabbit()),
    contained(startS3()),
  ] as const;
  try {
    return { ...(await behindProxy(...(await Promise.all(starting)))), stop };
  } catch (error) {
    await Promise.allSettled(starting);
    await stop();
    throw error;
  }
}

type Started<Start extends () => Promise<unknown>> = Awaited<ReturnType<Start>>;

async function behindProxy(
  proxy: Toxiproxy,
  startedMongo: Started<typeof startMongo>,
  startedRabbit: Started<typeof startRabbit>,
  startedStore: Started<typeof startS3>,
): Promise<Omit<FragileServers, 'stop'>> {
  const fragile = async (name: string, { container }: { container: StartedTestContainer }, port: number): Promise<FragileServer> =>
    new FragileServer(container, port, await proxy.lead(name, await upstreamOf(container, port)));
  const mongo = await fragile('mongodb', startedMongo, 27017);
  const rabbit = await fragile('rabbitmq', startedRabbit, 5672);
  const store = await fragile('s3', startedStore, PORT_OF_S3);
  return {
    addresses: {
      mongodbUri: at(startedMongo.uri, mongo),
      rabbitmqUrl: at(startedRabbit.url, rabbit),
      rabbitmqManagementUrl: startedRabbit.managementUrl,
      s3: { ...startedStore.s3, endpoint: `http://${store.way.address}` },
    },
    mongo,
    rabbit,
    store,
    rabbitMetrics: `${startedRabbit.container.getHost()}:${startedRabbit.container.getMappedPort(RABBITMQ_METRICS_PORT)}`,
    heal: async () => void (await Promise.all([mongo, rabbit, store].map((server) => server.heal()))),
  };
}

const PORT_OF_S3 = 9000;

/** Containers reach each other by the addresses of their bridge, which can change when one is started again. */
async function upstreamOf(container: StartedTestContainer, port: number): Promise<Upstream> {
  const docker = (await getContainerRuntimeClient()).container.getById(container.getId());
  const { NetworkSettings } = await docker.inspect();
  const [network] = Object.values(NetworkSettings.Networks);
  if (!network) throw new Error('the container is in no network');
  return { host: network.IPAddress, port };
}

/** The same address, by way of the proxy. */
const at = (address: string, { way }: FragileServer): string => address.replace(/(:\/\/(?:[^@/]*@)?)[^/]*/, `$1${way.address}`);
