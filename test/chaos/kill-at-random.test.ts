import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { seeded } from '../support/load-seed.ts';
import { startServer } from '../support/server.ts';
import { CHAOS_SETTINGS, expectPromisesKept } from './aftermath.ts';
import { RememberingClient } from './remembering-client.ts';

const ROUNDS = Number(process.env.TEST_CHAOS_ROUNDS ?? 6);
const SEED = Number(process.env.TEST_CHAOS_SEED ?? Date.now() % 1_000_000);
const CLIENTS = 4;
const LONGEST_LIFE_MS = 1200;

test(
  `killed at random moments under load (TEST_CHAOS_SEED=${SEED}), the server keeps what it acknowledged and nothing else`,
  async () => {
    process.stderr.write(`TEST_CHAOS_SEED=${SEED} TEST_CHAOS_ROUNDS=${ROUNDS}\n`);
    const random = seeded(SEED);
    const dataDir = await mkdtemp(join(tmpdir(), 'windlass-chaos-'));
    const clients = Array.from({ length: CLIENTS }, (_, index) => new RememberingClient(`client-${index}`));
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        await using server = await startServer(CHAOS_SETTINGS, { dataDir });
        const work = Promise.all(clients.map((client) => client.work(server.url)));
        await new Promise((resolve) => setTimeout(resolve, random() * LONGEST_LIFE_MS));
        await server.kill();
        await work;
      }
      await using server = await startServer(CHAOS_SETTINGS, { dataDir });
      await Promise.all(clients.map((client) => client.work(server.url)));
      expect(Math.min(...clients.map(({ acknowledged }) => acknowledged))).toBeGreaterThan(0);
      await expectPromisesKept(server, clients);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  },
  60_000 + ROUNDS * 10_000,
);
