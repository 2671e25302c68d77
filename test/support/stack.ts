import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v7 } from 'uuid';
import type { Addresses } from '../services/servers.ts';
import { freePort } from './free-port.ts';
import { mongoUnderTest } from './mongo-database.ts';
import { type RunningServer, runCommand, type Settings, startServer } from './server.ts';

export interface StackOptions {
  apis?: number;
  workers?: number;
  settings?: Settings;
}

/** Servers and workers as processes of their own on MongoDB, RabbitMQ and S3, in a database, bucket and queues that nobody else uses. */
export interface Stack {
  apis: RunningServer[];
  workers: RunningServer[];
  settings: Settings;
  startWorker(settings?: Settings): Promise<RunningServer>;
  /** One more server, with its own disk. */
  startApi(settings?: Settings): Promise<RunningServer>;
  /** A new process in place of one that has ended, on its disk and at its address. */
  restart(ended: RunningServer, settings?: Settings): Promise<RunningServer>;
  /** `windlass reconcile` on the disk of each server, or of these; what kept it from coming to its end. */
  reconcile(settings?: Settings, indexes?: Iterable<number>): Promise<string[]>;
  /** `windlass audit` on the disk of each server, or of these: the problems of all, with the server that has them. */
  audit(indexes?: Iterable<number>): Promise<object[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startStack(
  servers: Addresses,
  { apis: apiCount = 2, workers: workerCount = 2, settings = {} }: StackOptions = {},
): Promise<Stack> {
  const id = v7().slice(-12);
  const folder = await mkdtemp(join(tmpdir(), 'windlass-stack-'));
  const mongo = await mongoUnderTest(servers.mongodbUri, `stack-${id}`);
  const shared: Settings = {
    MONGODB_URI: mongo.uri,
    RABBITMQ_URL: servers.rabbitmqUrl,
    RABBITMQ_PREFIX: `stack-${id}`,
    S3_BUCKET: `stack-${id}`,
    S3_ENDPOINT: servers.s3.endpoint,
    AWS_ACCESS_KEY_ID: servers.s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: servers.s3.secretAccessKey,
    INTERNAL_SECRET: `secret of the stack ${id}`,
    ...settings,
  };
  const processes: RunningServer[] = [];
  const started = async (name: string, role: 'api' | 'relay', more: Settings): Promise<RunningServer> => {
    const options = { dataDir: join(folder, name), program: ['bin/windlass.js', role] };
    const server = await startServer({ ...shared, NODE_NAME: name, ...more }, options);
    processes.push(server);
    return server;
  };
  const apis: RunningServer[] = [];
  let apisBegun = 0;
  const startApi = async (more: Settings = {}): Promise<RunningServer> => {
    const index = apisBegun++;
    const port = await freePort();
    const api = await started(`api-${index}`, 'api', { PORT: String(port), NODE_URL: `http://localhost:${port}`, ...more });
    apis[index] = api;
    return api;
  };
  let workersBegun = 0;
  const startWorker = (more: Settings = {}): Promise<RunningServer> => started(`worker-${++workersBegun}`, 'relay', more);
  const beside = (index: number, args: string[], more: Settings = {}) =>
    runCommand(args, { ...shared, NODE_NAME: `api-${index}`, DATA_DIR: apis[index]?.dataDir, ...more });
  const stack: Stack = {
    apis,
    workers: [],
    settings: shared,
    startWorker,
    startApi,
    async restart(ended, more) {
      const back = await ended.restart(more);
      processes.push(back);
      for (const list of [apis, stack.workers]) if (list.includes(ended)) list[list.indexOf(ended)] = back;
      return back;
    },
    async reconcile(more, indexes = apis.keys()) {
      const failures: string[] = [];
      // One after the other: what they share is done by one at a time.
      for (const index of indexes) {
        const { code, stdout, stderr } = await beside(index, ['reconcile'], more);
        if (code !== 0) failures.push(stdout + stderr);
      }
      return failures;
    },
    async audit(indexes = apis.keys()) {
      const reports = await Promise.all(
        [...indexes].map(async (index) => {
          const { code, stdout, stderr } = await beside(index, ['audit', '--grace', '0', '--json']);
          if (code !== 0 && stdout === '') throw new Error(`the audit failed: ${stderr}`);
          return (JSON.parse(stdout).problems as object[]).map((problem) => ({ ...problem, server: `api-${index}` }));
        }),
      );
      return reports.flat();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(processes.map((one) => one.kill()));
      await mongo.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  const apisStarting = Array.from({ length: apiCount }, () => startApi());
  const workersStarting = Array.from({ length: workerCount }, () => startWorker());
  try {
    await Promise.all(apisStarting);
    stack.workers.push(...(await Promise.all(workersStarting)));
    return stack;
  } catch (error) {
    await Promise.allSettled([...apisStarting, ...workersStarting]);
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}
