import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { Load } from '../support/load.ts';
import { seeded } from '../support/load-seed.ts';
import type { RunningServer } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { type FragileServer, type FragileServers, startFragileServers } from '../support/toxiproxy-servers.ts';
import { withServers } from './with-servers.ts';

/** Not part of the usual run: `TEST_SOAK_SECONDS=600 npm run test:soak`. */
const SECONDS = Number(process.env.TEST_SOAK_SECONDS ?? 0);
const SEED = Number(process.env.TEST_SOAK_SEED ?? Date.now() % 1_000_000);
const LONGEST_OUTAGE_MS = 8000;
const LONGEST_QUIET_MS = 4000;
const RECOVERY_MS = 120_000;

const SETTINGS = {
  RECONCILE_INTERVAL_SECONDS: '10',
  ORPHAN_GRACE_SECONDS: '120',
  RETRY_BASE_SECONDS: '1',
  RETRY_MAX_SECONDS: '5',
  JOB_ATTEMPTS: '100',
};

withServers(() => {
  (SECONDS > 0 ? test : test.skip)(
    `outages one after the other, at random (TEST_SOAK_SEED=${SEED}), for ${SECONDS} s`,
    async () => {
      process.stderr.write(`TEST_SOAK_SEED=${SEED} TEST_SOAK_SECONDS=${SECONDS}\n`);
      const random = seeded(SEED);
      const servers = await startFragileServers();
      const stack = await startStack(servers.addresses, { settings: SETTINGS });
      try {
        const load = new Load(
          stack.apis.map(({ url }) => url),
          `soak-${SEED}`,
        );
        load.start();
        for (const end = Date.now() + SECONDS * 1000; Date.now() < end; ) {
          const [name, outage] = pick(outagesOf(servers, stack), random);
          process.stderr.write(`${new Date().toISOString()} ${name}, ${load.acknowledged} acknowledged\n`);
          const over = await outage();
          await pause(random() * LONGEST_OUTAGE_MS);
          await over();
          await pause(random() * LONGEST_QUIET_MS);
        }
        await load.works();
        await load.expectKept();
        await eventually(async () => {
          expect(await stack.reconcile({ ORPHAN_GRACE_SECONDS: '0' })).toEqual([]);
          expect(await stack.audit()).toEqual([]);
        }, RECOVERY_MS);
      } finally {
        await servers.heal();
        await stack[Symbol.asyncDispose]();
        await servers.stop();
      }
    },
    SECONDS * 1000 + 600_000,
  );
});

/** Begins, and gives what ends it. */
type Outage = () => Promise<() => Promise<unknown>>;

function outagesOf({ mongo, rabbit, store }: FragileServers, stack: Stack): [string, Outage][] {
  const of = (name: string, server: FragileServer): [string, Outage][] => [
    [`${name} is paused`, async () => server.pause().then(() => () => server.unpause())],
    [`${name} is killed`, async () => server.kill().then(() => () => server.start())],
    [`${name} is cut off`, async () => server.way.sever().then(() => () => server.way.mend())],
    [`connections to ${name} are reset`, () => poisoned(server, { type: 'reset_peer', attributes: { timeout: 300 } })],
    [`connections to ${name} are silenced`, () => poisoned(server, { type: 'timeout', attributes: { timeout: 0 } })],
    [`connections to ${name} break off`, () => poisoned(server, { type: 'limit_data', attributes: { bytes: 20_000 } })],
    [`connections to ${name} are slow`, () => poisoned(server, { type: 'latency', attributes: { latency: 200, jitter: 150 } })],
  ];
  const killed = (kind: string, processes: RunningServer[]): [string, Outage][] =>
    processes.map((one, index) => [`${kind} ${index} is killed`, async () => one.kill().then(() => () => startedAgain(stack, one))]);
  return [
    ...of('MongoDB', mongo),
    ...of('RabbitMQ', rabbit),
    ...of('the store', store),
    ...killed('server', stack.apis),
    ...killed('worker', stack.workers),
  ];
}

async function poisoned(server: FragileServer, toxic: Parameters<FragileServer['way']['poison']>[0]): Promise<() => Promise<void>> {
  await server.way.poison(toxic, { stream: 'downstream', toxicity: 0.5 });
  return () => server.way.cure();
}

/** A process does not start without its database, which may still be on its way up. */
const startedAgain = (stack: Stack, ended: RunningServer): Promise<RunningServer> => eventually(() => stack.restart(ended), RECOVERY_MS);

const pick = <T>(items: readonly T[], random: () => number): T => items[Math.floor(random() * items.length)] as T;
