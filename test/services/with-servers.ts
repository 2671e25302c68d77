import { describe } from '@jest/globals';
import type { Addresses } from './servers.ts';

const given = process.env.WINDLASS_TEST_SERVERS;

/** Runs the tests with the addresses of the real servers, or skips them where there are none. */
export function withServers(define: (servers: Addresses) => void): void {
  if (given) define(JSON.parse(given));
  else describe.skip('on real servers', () => define({} as Addresses));
}
