import { expect } from '@jest/globals';
import { storedFiles } from '../support/data-folder.ts';
import { eventually } from '../support/eventually.ts';
import type { RunningServer, Settings } from '../support/server.ts';
import type { RememberingClient } from './remembering-client.ts';

/** Leases and grace periods are short, so that what a crash leaves is put right while the test waits. */
export const CHAOS_SETTINGS: Settings = {
  RECONCILE_INTERVAL_SECONDS: '1',
  ORPHAN_GRACE_SECONDS: '1',
  UPLOAD_IDLE_SECONDS: '1',
  LEASE_SECONDS: '1',
  SINGLE_PART_BYTES: '1MiB',
  PART_BYTES: '5MiB',
  LOG_LEVEL: 'info',
};

/** Everything acknowledged is there, nothing else is left, and the audit agrees, with the server running and without it. */
export async function expectPromisesKept(server: RunningServer, clients: readonly RememberingClient[]): Promise<void> {
  for (const client of clients) await client.expectKept(server.url);
  await eventually(async () => expect((await storedFiles(server.dataDir)).filter((path) => path.includes('.unfinished'))).toEqual([]));
  await eventually(() => expectCleanAudit(server), 20_000);
  await server.stop();
  await expectCleanAudit(server);
  expect(server.log().filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
}

async function expectCleanAudit(server: RunningServer): Promise<void> {
  const { code, stdout, stderr } = await server.command(['audit', '--grace', '0', '--json']);
  expect({ code, stderr, problems: stdout === '' ? null : JSON.parse(stdout).problems }).toEqual({ code: 0, stderr: '', problems: [] });
}
