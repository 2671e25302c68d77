import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { type RunningServer, type Settings, startServer } from '../support/server.ts';
import { CHAOS_SETTINGS, expectPromisesKept } from './aftermath.ts';
import { RememberingClient, type Step } from './remembering-client.ts';

const CRASHING = { program: ['test/support/crashing-server.ts'] };

/** Where the process dies (see crashing-server.ts), each before and after, one after the other on the same folder. */
const GROUPS: Record<string, { points: string[]; settings?: Settings; steps?: Step[] }> = {
  'receiving bytes': {
    steps: ['direct', 'relay'],
    points: ['idempotency.claim', 'direct.commit', 'uploads.insert:direct', 'spool.commit', 'uploads.insert:relay'],
  },
  'publishing what the record says': {
    steps: ['direct', 'relay'],
    points: ['events.publish', 'queue.publish:relay', 'uploads.removeMessages', 'uploads.removeMessages 3'],
  },
  relaying: {
    steps: ['relay'],
    points: ['uploads.apply:relaying', 'store.put', 'uploads.apply:stored', 'spool.remove', 'queue.handled'],
  },
  'handing out links': { steps: ['presign', 'parts'], points: ['uploads.insert:presign', 'store.createMultipart'] },
  'completing a single object': {
    steps: ['presign'],
    points: ['uploads.apply:verifying', 'store.freeze', 'uploads.apply:stored', 'store.remove'],
  },
  'completing parts': {
    steps: ['parts'],
    points: ['store.completeMultipart', 'uploads.apply:verifying', 'store.freeze', 'uploads.apply:stored', 'store.remove'],
  },
  'refusing content': { steps: ['contradiction'], points: ['uploads.apply:failed', 'store.remove'] },
  'linking a resource': {
    steps: ['resource'],
    points: ['resources.replace', 'uploads.apply:stored', 'uploads.apply:amend', 'resources.settle'],
  },
  deleting: {
    steps: ['deletion'],
    points: [
      'uploads.apply:deleted',
      'uploads.apply:deleted 2',
      'uploads.apply:deleted 3',
      'direct.remove',
      'store.remove 2',
      'queue.removeDead',
    ],
  },
  'trying again while the store is away': {
    steps: ['relay'],
    settings: { FAIL_AT: 'store.put store_unavailable 1' },
    points: ['uploads.apply:queued', 'queue.handled'],
  },
  'giving up': {
    steps: ['relay'],
    settings: { FAIL_AT: 'store.put store_unavailable 2', JOB_ATTEMPTS: '2' },
    points: ['uploads.apply:failed'],
  },
  'letting uploads run out': {
    steps: ['abandon'],
    settings: { PENDING_TTL_SECONDS: '1', LINK_TTL_SECONDS: '1', RECORD_RETENTION_SECONDS: '0' },
    points: ['uploads.apply:expired', 'store.abortMultipart', 'uploads.purge'],
  },
};

test.concurrent.each(Object.entries(GROUPS))(
  'killed at each step of %s, the server keeps what it acknowledged and nothing else',
  async (name, { points, settings = {}, steps }) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'windlass-chaos-'));
    const client = new RememberingClient(name.replaceAll(' ', '-'));
    try {
      for (const point of points) for (const when of ['before', 'after']) await dieAt(point, when, { dataDir, client, settings, steps });
      if (steps?.includes('abandon')) client.forgetStaged();
      await using server = await startServer({ ...CHAOS_SETTINGS, ...settings }, { dataDir });
      await client.work(server.url, steps);
      if (steps?.includes('abandon')) client.forgetStaged();
      await expectPromisesKept(server, [client]);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  },
  120_000,
);

interface Run {
  dataDir: string;
  client: RememberingClient;
  settings: Settings;
  steps: Step[] | undefined;
}

/** Runs the load until the server has died at the point. What the last crash left may make it die before it is ready. */
async function dieAt(point: string, when: string, { dataDir, client, settings, steps }: Run): Promise<void> {
  const [place, nth = '1'] = point.split(' ');
  const crash = { ...CHAOS_SETTINGS, ...settings, CRASH_AT: `${place} ${when} ${nth}` };
  const server = await startServer(crash, { dataDir, ...CRASHING }).catch(diedEarly);
  if (!server) return;
  await using running = server;
  await client.work(running.url, steps);
  const exit = await Promise.race([running.exited, stillRunning(running)]);
  expect({ point, when, signal: exit.signal }).toEqual({ point, when, signal: 'SIGKILL' });
}

function diedEarly(error: Error): null {
  if (error.message.includes('it ended with SIGKILL')) return null;
  throw error;
}

const UNREACHED_MS = 30_000;

/** Some points come a little after the last answer. */
const stillRunning = ({ output }: RunningServer): Promise<never> =>
  new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`the point was not reached:\n${output}`)), UNREACHED_MS).unref();
  });
