import { existsSync } from 'node:fs';
import { describe, jest } from '@jest/globals';
import { type Browser, chromium } from 'playwright-core';

const EXECUTABLE = process.env.TEST_CHROMIUM ?? '/usr/bin/chromium';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Longer than what Playwright itself waits, so that its message is the one to be read. */
const TIMEOUT_MS = 90_000;

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: EXECUTABLE, args: ARGS });

/** A suite that needs Chromium: without one its tests count as skipped, and the reason is said. */
export function describeInBrowser(name: string, tests: () => void): void {
  jest.setTimeout(TIMEOUT_MS);
  if (existsSync(EXECUTABLE)) describe(name, tests);
  else {
    process.stderr.write(`No Chromium at ${EXECUTABLE}: "${name}" is skipped. TEST_CHROMIUM names another place.\n`);
    describe.skip(name, tests);
  }
}
