import startServers from './global-setup.ts';

/** The servers, and the word to the suites to use them. */
export default async function setup(): Promise<void> {
  await startServers();
  process.env.TEST_ON_STACK = 'true';
}
