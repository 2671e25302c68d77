/** Suites that stop servers start their own: this only tells them whether there is a Docker to start them in. */
import { dockerIsThere } from './servers.ts';

export default async function setup(): Promise<void> {
  if (await dockerIsThere()) process.env.WINDLASS_TEST_SERVERS = '{}';
  else console.log('\nNo Docker here: the suites that stop MongoDB, RabbitMQ and S3 are skipped.');
}
