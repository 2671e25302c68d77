import type { Addresses } from '../services/servers.ts';
import { startBalancedStack } from './balanced-stack.ts';
import type { RunningServer, ServerOptions, Settings } from './server.ts';
import { startServer as startEmbedded } from './server.ts';
import { ELSEWHERE } from './server-elsewhere.ts';

/** What tests of the API use of a server, whether that is one process or many behind one address. */
export type ServerUnderTest = Pick<
  RunningServer,
  'url' | 'port' | 'opsUrl' | 'opsPort' | 'output' | 'log' | 'storedFiles' | 'stop' | 'beginStop' | 'kill' | 'exited'
> & {
  restart(settings?: Settings): Promise<ServerUnderTest>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Whether the tests are for servers and workers on MongoDB, RabbitMQ and S3, instead of the embedded default. */
const onStack = process.env.TEST_ON_STACK === 'true';

/** The embedded default in one process; with TEST_ON_STACK, two servers and two workers with the same settings. */
export function startServer(settings: Settings = {}, options: ServerOptions = {}): Promise<ServerUnderTest> {
  if (!onStack) return startEmbedded(settings, options);
  const servers: Addresses = JSON.parse(process.env.WINDLASS_TEST_SERVERS ?? '');
  return startBalancedStack(servers, settings);
}

/** Tests that say something about one process or an embedded part; `reason` tells why the stack is different. */
export function embeddedOnly(_reason: string, define: () => void): void {
  if (!onStack && !ELSEWHERE) define();
}

/** Tests that stop, kill or start servers; `reason` tells why they need some of their own. */
export function ownServerOnly(_reason: string, define: () => void): void {
  if (!ELSEWHERE) define();
}
