import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { LeaseRepository } from '../../src/ports/lease-repository.ts';

export interface OpenedLeaseRepository {
  /** Empty. */
  repository: LeaseRepository;
  /** The same leases through a new connection; the old one is gone. */
  reopen(): Promise<LeaseRepository>;
  close(): Promise<void>;
}

/** What every LeaseRepository does. */
export function describeLeaseRepository(name: string, open: () => Promise<OpenedLeaseRepository>): void {
  describe(`lease repository contract: ${name}`, () => {
    let opened: OpenedLeaseRepository;
    let repository: LeaseRepository;
    beforeEach(async () => {
      opened = await open();
      repository = opened.repository;
    });
    afterEach(() => opened.close());

    test('a free lease is taken, and then nobody else gets it until it ends, also after opening again', async () => {
      expect(await repository.acquire('reconciler', 'one', 1_000, 2_000)).toBe(true);
      expect(await repository.acquire('reconciler', 'two', 1_999, 3_000)).toBe(false);
      repository = await opened.reopen();
      expect(await repository.acquire('reconciler', 'two', 1_999, 3_000)).toBe(false);
      expect(await repository.acquire('reconciler', 'two', 2_001, 3_000)).toBe(true);
      expect(await repository.acquire('reconciler', 'one', 2_002, 3_000)).toBe(false);
    });

    test('its holder prolongs it', async () => {
      await repository.acquire('reconciler', 'one', 1_000, 2_000);
      expect(await repository.acquire('reconciler', 'one', 1_500, 4_000)).toBe(true);
      expect(await repository.acquire('reconciler', 'two', 3_000, 5_000)).toBe(false);
    });

    test('of many who want it at once exactly one gets it, free or ended', async () => {
      for (const now of [1_000, 9_000]) {
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, i) => repository.acquire('reconciler', `${now}-${i}`, now, now + 500)),
        );
        expect(answers.filter(Boolean)).toHaveLength(1);
      }
    });

    test('leases with other names are other leases', async () => {
      for (const each of ['reconciler', 'Reconciler', "reconciler'--", '%', '🐈‍⬛']) {
        expect(await repository.acquire(each, `holder of ${each}`, 1_000, 2_000)).toBe(true);
      }
    });

    test('a released lease is free at once; a release by somebody else changes nothing', async () => {
      await repository.acquire('reconciler', 'one', 1_000, 2_000);
      await repository.release('reconciler', 'two');
      expect(await repository.acquire('reconciler', 'two', 1_001, 2_000)).toBe(false);
      await repository.release('reconciler', 'one');
      await repository.release('reconciler', 'one');
      expect(await repository.acquire('reconciler', 'two', 1_001, 2_000)).toBe(true);
    });

    test('says so when the database is away', async () => {
      const closed = repository;
      repository = await opened.reopen();
      await expect(closed.acquire('reconciler', 'one', 1_000, 2_000)).rejects.toMatchObject({ code: 'repository_unavailable' });
    });
  });
}
