import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { IdempotencyClaim, IdempotencyRepository } from '../../src/ports/idempotency-repository.ts';

export interface OpenedIdempotencyRepository {
  /** Empty. */
  repository: IdempotencyRepository;
  /** The same keys through a new connection; the old one is gone. */
  reopen(): Promise<IdempotencyRepository>;
  close(): Promise<void>;
}

const claimOf = (holder: string, changes: Partial<IdempotencyClaim> = {}): IdempotencyClaim => ({
  tenant: 'acme',
  key: 'key-1',
  uploadId: `upload-of-${holder}`,
  holder,
  leaseUntil: 2_000,
  expiresAt: 10_000,
  ...changes,
});
const FIRST = claimOf('first');

/** What every IdempotencyRepository does. Claims are made at 1,000 and leased until 2,000. */
export function describeIdempotencyRepository(name: string, open: () => Promise<OpenedIdempotencyRepository>): void {
  describe(`idempotency repository contract: ${name}`, () => {
    let opened: OpenedIdempotencyRepository;
    let repository: IdempotencyRepository;
    beforeEach(async () => {
      opened = await open();
      repository = opened.repository;
    });
    afterEach(() => opened.close());

    test('a free key is claimed', async () => {
      expect(await repository.claim(FIRST, 1_000)).toEqual(FIRST);
    });

    test('a claimed key tells who holds it, also after opening again', async () => {
      await repository.claim(FIRST, 1_000);
      expect(await repository.claim(claimOf('second'), 1_001)).toEqual(FIRST);
      repository = await opened.reopen();
      expect(await repository.claim(claimOf('second'), 1_002)).toEqual(FIRST);
    });

    test('of many who claim it at once exactly one gets it', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => repository.claim(claimOf(`holder-${i}`), 1_000)));
      const holders = new Set(answers.map(({ holder }) => holder));
      expect(holders.size).toBe(1);
      const winner = Number([...holders][0]?.slice('holder-'.length));
      expect(answers[winner]).toEqual(claimOf(`holder-${winner}`));
    });

    test('keys of different tenants, and keys of any text, are different keys', async () => {
      await repository.claim(FIRST, 1_000);
      const others = [{ tenant: 'other' }, { key: 'KEY-1' }, { key: "key-1'; --" }, { key: '%' }, { key: '🐈‍⬛"' }, { key: 'key-1 ' }];
      for (const other of others) {
        const claim = claimOf('second', other);
        expect(await repository.claim(claim, 1_000)).toEqual(claim);
      }
    });

    test('a claim whose lease has ended is handed over with its upload', async () => {
      await repository.claim(FIRST, 1_000);
      const second = claimOf('second', { leaseUntil: 3_000, expiresAt: 11_000 });
      expect(await repository.claim(second, 2_001)).toMatchObject({ holder: 'second', uploadId: FIRST.uploadId, leaseUntil: 3_000 });
      expect(await repository.claim(claimOf('third'), 2_002)).toMatchObject({ holder: 'second', uploadId: FIRST.uploadId });
    });

    test('of many who take over an ended claim exactly one gets it', async () => {
      await repository.claim(FIRST, 1_000);
      const claims = Array.from({ length: 20 }, (_, i) => claimOf(`holder-${i}`, { leaseUntil: 9_000 }));
      const answers = await Promise.all(claims.map((claim) => repository.claim(claim, 2_001)));
      expect(new Set(answers.map(({ holder }) => holder)).size).toBe(1);
      expect(answers[0]?.holder).toMatch(/^holder-/);
    });

    test('a key that has expired is free for another upload', async () => {
      await repository.claim(FIRST, 1_000);
      const later = claimOf('second', { leaseUntil: 12_000, expiresAt: 20_000 });
      expect(await repository.claim(later, 10_001)).toEqual(later);
    });

    test('its holder prolongs the lease, others cannot', async () => {
      await repository.claim(FIRST, 1_000);
      expect(await repository.renew('acme', 'key-1', 'first', 5_000)).toBe(true);
      expect(await repository.renew('acme', 'key-1', 'second', 9_000)).toBe(false);
      expect(await repository.renew('acme', 'key-2', 'first', 9_000)).toBe(false);
      expect(await repository.claim(claimOf('second'), 2_001)).toMatchObject({ holder: 'first', leaseUntil: 5_000 });
    });

    test('a holder that was replaced can neither prolong nor release', async () => {
      await repository.claim(FIRST, 1_000);
      await repository.claim(claimOf('second', { leaseUntil: 3_000 }), 2_001);
      expect(await repository.renew('acme', 'key-1', 'first', 9_000)).toBe(false);
      await repository.release('acme', 'key-1', 'first');
      expect(await repository.claim(claimOf('third'), 2_002)).toMatchObject({ holder: 'second' });
    });

    test('a released key is free for another upload', async () => {
      await repository.claim(FIRST, 1_000);
      await repository.release('acme', 'key-1', 'first');
      await repository.release('acme', 'key-1', 'first');
      expect(await repository.claim(claimOf('second'), 1_001)).toEqual(claimOf('second'));
    });

    test('the sweep forgets what has expired and nothing else', async () => {
      await repository.claim(FIRST, 1_000);
      await repository.claim(claimOf('second', { key: 'key-2', leaseUntil: 2_000, expiresAt: 20_000 }), 1_000);
      expect(await repository.sweep(9_999)).toBe(0);
      expect(await repository.sweep(10_001)).toBe(1);
      expect(await repository.sweep(10_001)).toBe(0);
      expect(await repository.claim(claimOf('third', { key: 'key-2' }), 1_500)).toMatchObject({ holder: 'second' });
    });

    test('says so when the database is away', async () => {
      const closed = repository;
      repository = await opened.reopen();
      await expect(closed.claim(FIRST, 1_000)).rejects.toMatchObject({ code: 'repository_unavailable' });
    });
  });
}
