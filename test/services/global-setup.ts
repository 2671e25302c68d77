/** Starts the servers once for all suites below test/services. Without Docker and without addresses they are skipped. */
import { dockerIsThere, startServers } from './servers.ts';

export default async function setup(): Promise<void> {
  const given = process.env.TEST_MONGODB_URI && process.env.TEST_RABBITMQ_URL && process.env.TEST_S3_ENDPOINT;
  if (!given && !(await dockerIsThere())) {
    console.log('\nNo Docker here, and no addresses of servers given: the suites on MongoDB, RabbitMQ and S3 are skipped.');
    return;
  }
  const { addresses, stop } = await startServers();
  process.env.WINDLASS_TEST_SERVERS = JSON.stringify(addresses);
  (globalThis as { stopServers?: () => Promise<void> }).stopServers = stop;
}
