import { afterAll, beforeAll } from '@jest/globals';
import { ApiClient } from './api-client.ts';
import type { ServerOptions, Settings } from './server.ts';
import { type ServerUnderTest, startServer } from './server-under-test.ts';

export interface Suite {
  server: ServerUnderTest;
  api: ApiClient;
}

// A server elsewhere, for the files that only need an address and no settings.
const { TEST_WINDLASS_URL: elsewhere, TEST_WINDLASS_TOKEN: token = '' } = process.env;

/** The server of TEST_WINDLASS_URL, which runs and goes on running. */
function useServerElsewhere(url: string): Suite {
  const server = { url, port: Number(new URL(url).port) } as ServerUnderTest;
  return { server, api: new ApiClient(url, { token }) };
}

/** One server for all tests of a file. Afterwards the file fails if the server met an error it did not expect, or did not stop cleanly. */
export function useServer(settings: Settings = {}, options: ServerOptions = {}): Suite {
  if (elsewhere) return useServerElsewhere(elsewhere);
  const suite = {} as Suite;
  beforeAll(async () => {
    suite.server = await startServer(settings, options);
    suite.api = new ApiClient(suite.server.url);
  });
  afterAll(async () => {
    await using server = suite.server;
    await server.stop();
    const unexpected = server.log().filter(({ level }) => level === 'error' || level === 'fatal');
    if (unexpected.length > 0) throw new Error(`the server logged errors:\n${unexpected.map((line) => JSON.stringify(line)).join('\n')}`);
  });
  return suite;
}
