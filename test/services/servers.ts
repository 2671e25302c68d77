/**
 * The real servers that the suites below test/services run against. Each can be given by its address
 * (TEST_MONGODB_URI, TEST_RABBITMQ_URL with TEST_RABBITMQ_MANAGEMENT_URL, TEST_S3_ENDPOINT); otherwise a container is
 * started from TEST_MONGO_IMAGE, TEST_RABBITMQ_IMAGE, TEST_MINIO_IMAGE and TEST_TOXIPROXY_IMAGE (default: the official images).
 */
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from 'testcontainers';

const env = process.env;

export interface S3Server {
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
}

export interface Addresses {
  mongodbUri: string;
  rabbitmqUrl: string;
  /** Of the management API, with user and password in it. */
  rabbitmqManagementUrl: string;
  s3: S3Server;
}

/** Of RabbitMQ's own exporter. */
export const RABBITMQ_METRICS_PORT = 15692;

/**
 * How soon a broker that has just started tries again to move a job that it could not move at once (milliseconds): RabbitMQ's
 * own three minutes are longer than a test should take.
 */
const MOVE_AGAIN_MS = 5000;

const USER = 'windlass';
const PASSWORD = 'windlass-secret';

export async function dockerIsThere(): Promise<boolean> {
  try {
    await getContainerRuntimeClient();
    return true;
  } catch {
    return false;
  }
}

export async function startMongo(): Promise<{ container: StartedTestContainer; uri: string }> {
  const container = await new GenericContainer(env.TEST_MONGO_IMAGE ?? 'mongo:8')
    .withExposedPorts(27017)
    .withWaitStrategy(Wait.forListeningPorts())
    .start();
  return { container, uri: `mongodb://${container.getHost()}:${container.getMappedPort(27017)}/windlass` };
}

export async function startRabbit(): Promise<{ container: StartedTestContainer; url: string; managementUrl: string }> {
  const container = await new GenericContainer(env.TEST_RABBITMQ_IMAGE ?? 'rabbitmq:4-management')
    .withEnvironment({
      RABBITMQ_DEFAULT_USER: USER,
      RABBITMQ_DEFAULT_PASS: PASSWORD,
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `-rabbit dead_letter_worker_publisher_confirm_timeout ${MOVE_AGAIN_MS}`,
    })
    .withExposedPorts(5672, 15672, RABBITMQ_METRICS_PORT)
    .withWaitStrategy(Wait.forLogMessage(/Server startup complete|Time to start RabbitMQ/))
    .withStartupTimeout(120_000)
    .start();
  const at = (port: number): string => `${USER}:${PASSWORD}@${container.getHost()}:${container.getMappedPort(port)}`;
  return { container, url: `amqp://${at(5672)}`, managementUrl: `http://${at(15672)}` };
}

export async function startS3(): Promise<{ container: StartedTestContainer; s3: S3Server }> {
  const container = await new GenericContainer(env.TEST_MINIO_IMAGE ?? 'quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z')
    .withEnvironment({ MINIO_ROOT_USER: USER, MINIO_ROOT_PASSWORD: PASSWORD })
    .withCommand(['server', '/data'])
    .withExposedPorts(9000)
    .withWaitStrategy(Wait.forHttp('/minio/health/live', 9000))
    .start();
  const endpoint = `http://${container.getHost()}:${container.getMappedPort(9000)}`;
  return { container, s3: { endpoint, accessKeyId: USER, secretAccessKey: PASSWORD } };
}

/** The proxy that cuts and slows connections; its API is on 8474, proxies can listen on the other ports. */
export async function startToxiproxy(ports: number[]): Promise<StartedTestContainer> {
  return new GenericContainer(env.TEST_TOXIPROXY_IMAGE ?? 'ghcr.io/shopify/toxiproxy:2.12.0')
    .withExposedPorts(8474, ...ports)
    .withWaitStrategy(Wait.forHttp('/version', 8474))
    .start();
}

/** Starts what no address is given for. */
export async function startServers(): Promise<{ addresses: Addresses; stop(): Promise<void> }> {
  const containers: StartedTestContainer[] = [];
  const started = async <T extends { container: StartedTestContainer }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    containers.push(server.container);
    return server;
  };
  const givenS3 = env.TEST_S3_ENDPOINT;
  const [mongo, rabbit, store] = await Promise.all([
    env.TEST_MONGODB_URI ? { uri: env.TEST_MONGODB_URI } : started(startMongo()),
    env.TEST_RABBITMQ_URL ? { url: env.TEST_RABBITMQ_URL, managementUrl: env.TEST_RABBITMQ_MANAGEMENT_URL ?? '' } : started(startRabbit()),
    givenS3
      ? {
          s3: {
            endpoint: givenS3,
            accessKeyId: env.TEST_S3_ACCESS_KEY_ID ?? 'minioadmin',
            secretAccessKey: env.TEST_S3_SECRET_ACCESS_KEY ?? 'minioadmin',
          },
        }
      : started(startS3()),
  ]);
  return {
    addresses: { mongodbUri: mongo.uri, rabbitmqUrl: rabbit.url, rabbitmqManagementUrl: rabbit.managementUrl, s3: store.s3 },
    stop: async () => void (await Promise.all(containers.map((container) => container.stop({ timeout: 1 })))),
  };
}
