import { afterAll, beforeAll } from '@jest/globals';
import { ApiClient } from './api-client.ts';
import type { ServerOptions, Settings } from './server.ts';
import { AUTHORIZATION, ELSEWHERE, filesElsewhere } from './server-elsewhere.ts';
import { type ServerUnderTest, startServer } from './server-under-test.ts';

export interface Suite {
  server: ServerUnderTest;
  api: ApiClient;
}

/** The servers there have their own settings: files whose tests need others are not for them. */
function useServerElsewhere({ origin, port }: URL): Suite {
  const server = { url: origin, port: Number(port), storedFiles: filesElsewhere } as ServerUnderTest;
  return { server, api: new ApiClient(origin, { headers: AUTHORIZATION }) };
}

/**
 * One server for all tests of a file. Afterwards the file fails if the server met an error it did not expect, if Node
 * warned of something, or if it did not stop cleanly.
 */
export function useServer(settings: Settings = {}, options: ServerOptions = {}): Suite {
  if (ELSEWHERE) return useServerElsewhere(ELSEWHERE);
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
    const warnings = server.output.match(/^\(node:\d+\) .*/gm);
    if (warnings) throw new Error(`Node warned of the server:\n${warnings.join('\n')}`);
  });
  return suite;
}
