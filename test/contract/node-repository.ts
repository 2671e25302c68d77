import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRepository } from '../../src/ports/node-repository.ts';

export interface OpenedNodeRepository {
  /** Empty. */
  repository: NodeRepository;
  /** The same servers through a new connection; the old one is gone. */
  reopen(): Promise<NodeRepository>;
  close(): Promise<void>;
}

/** What every NodeRepository does. */
export function describeNodeRepository(name: string, open: () => Promise<OpenedNodeRepository>): void {
  describe(`node repository contract: ${name}`, () => {
    let opened: OpenedNodeRepository;
    let repository: NodeRepository;
    beforeEach(async () => {
      opened = await open();
      repository = opened.repository;
    });
    afterEach(() => opened.close());

    test('a server is found by its name, also after opening again', async () => {
      const entry = { name: 'api-0', url: 'http://api-0.windlass:8080', seenAt: 1_753_000_000_123, weight: 2.5 };
      await repository.register(entry);
      expect(await repository.find('api-0')).toEqual({ ...entry, draining: false });
      repository = await opened.reopen();
      expect(await repository.find('api-0')).toEqual({ ...entry, draining: false });
    });

    test('one that nobody registered is null', async () => {
      expect(await repository.find('api-0')).toBeNull();
    });

    test('the last registration counts: a server that moved is found where it is now', async () => {
      await repository.register({ name: 'api-0', url: 'http://10.0.0.1:8080', seenAt: 1, weight: 1 });
      await repository.register({ name: 'api-0', url: 'http://10.0.0.2:8080', seenAt: 2, weight: 1 });
      expect(await repository.find('api-0')).toMatchObject({ name: 'api-0', url: 'http://10.0.0.2:8080', seenAt: 2 });
    });

    test('names are compared as they are', async () => {
      const names = ['api-0', 'API-0', 'api-00', 'api.0', "api'--", '%', '$where', '🐈‍⬛'];
      for (const each of names) await repository.register({ name: each, url: `http://${names.indexOf(each)}`, seenAt: 0, weight: 1 });
      for (const each of names) expect(await repository.find(each)).toMatchObject({ name: each, url: `http://${names.indexOf(each)}` });
      expect(await repository.find('api_0')).toBeNull();
    });

    test('a server that registers many times at once is one', async () => {
      await Promise.all(
        Array.from({ length: 20 }, (_, at) => repository.register({ name: 'api-0', url: `http://${at}`, seenAt: at, weight: 1 })),
      );
      const found = await repository.find('api-0');
      expect(found).toMatchObject({ name: 'api-0', url: `http://${found?.seenAt}` });
    });

    test('all of them are listed, those that take no part too', async () => {
      expect(await repository.list()).toEqual([]);
      await repository.register({ name: 'api-0', url: 'http://0', seenAt: 1, weight: 1 });
      await repository.register({ name: 'api-1', url: 'http://1', seenAt: 2, weight: null });
      const listed = (await repository.list()).sort((a, b) => a.seenAt - b.seenAt);
      expect(listed).toEqual([
        { name: 'api-0', url: 'http://0', seenAt: 1, weight: 1, draining: false },
        { name: 'api-1', url: 'http://1', seenAt: 2, weight: null, draining: false },
      ]);
    });

    test('one that changes its weight, or takes no part any more, says so when it registers', async () => {
      for (const weight of [1, 0.25, null, 3]) {
        await repository.register({ name: 'api-0', url: 'http://0', seenAt: 1, weight });
        expect(await repository.find('api-0')).toMatchObject({ weight });
      }
    });

    test('one that is draining stays so when it registers again, until it is told otherwise', async () => {
      const entry = { name: 'api-0', url: 'http://0', seenAt: 1, weight: 1 };
      expect(await repository.setDraining('api-0', true)).toBe(false);
      expect(await repository.list()).toEqual([]);
      await repository.register(entry);
      expect(await repository.setDraining('api-0', true)).toBe(true);
      await repository.register({ ...entry, seenAt: 2 });
      expect(await repository.find('api-0')).toEqual({ ...entry, seenAt: 2, draining: true });
      expect(await repository.setDraining('api-0', true)).toBe(true);
      expect(await repository.setDraining('api-0', false)).toBe(true);
      expect(await repository.list()).toEqual([{ ...entry, seenAt: 2, draining: false }]);
    });

    test('only one that is draining and has not registered since can be removed; it may come back as a new one', async () => {
      const entry = { name: 'api-0', url: 'http://0', seenAt: 5, weight: 1 };
      await repository.register(entry);
      expect(await repository.removeDrained('api-0', 10)).toBe(false);
      await repository.setDraining('api-0', true);
      expect(await repository.removeDrained('api-0', 5)).toBe(false);
      expect(await repository.removeDrained('api-1', 10)).toBe(false);
      expect(await repository.removeDrained('api-0', 6)).toBe(true);
      expect(await repository.removeDrained('api-0', 6)).toBe(false);
      expect(await repository.find('api-0')).toBeNull();
      await repository.register(entry);
      expect(await repository.find('api-0')).toEqual({ ...entry, draining: false });
    });

    test('says so when the database is away', async () => {
      const closed = repository;
      repository = await opened.reopen();
      await expect(closed.find('api-0')).rejects.toMatchObject({ code: 'repository_unavailable' });
      await expect(closed.register({ name: 'api-0', url: 'http://0', seenAt: 0, weight: 1 })).rejects.toMatchObject({
        code: 'repository_unavailable',
      });
    });
  });
}
