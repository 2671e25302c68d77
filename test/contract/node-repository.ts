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
      const entry = { name: 'api-0', url: 'http://api-0.windlass:8080', seenAt: 1_753_000_000_123 };
      await repository.register(entry);
      expect(await repository.find('api-0')).toEqual(entry);
      repository = await opened.reopen();
      expect(await repository.find('api-0')).toEqual(entry);
    });

    test('one that nobody registered is null', async () => {
      expect(await repository.find('api-0')).toBeNull();
    });

    test('the last registration counts: a server that moved is found where it is now', async () => {
      await repository.register({ name: 'api-0', url: 'http://10.0.0.1:8080', seenAt: 1 });
      await repository.register({ name: 'api-0', url: 'http://10.0.0.2:8080', seenAt: 2 });
      expect(await repository.find('api-0')).toEqual({ name: 'api-0', url: 'http://10.0.0.2:8080', seenAt: 2 });
    });

    test('names are compared as they are', async () => {
      const names = ['api-0', 'API-0', 'api-00', 'api.0', "api'--", '%', '$where', '🐈‍⬛'];
      for (const each of names) await repository.register({ name: each, url: `http://${names.indexOf(each)}`, seenAt: 0 });
      for (const each of names) expect(await repository.find(each)).toMatchObject({ name: each, url: `http://${names.indexOf(each)}` });
      expect(await repository.find('api_0')).toBeNull();
    });

    test('a server that registers many times at once is one', async () => {
      await Promise.all(Array.from({ length: 20 }, (_, at) => repository.register({ name: 'api-0', url: `http://${at}`, seenAt: at })));
      const found = await repository.find('api-0');
      expect(found).toEqual({ name: 'api-0', url: `http://${found?.seenAt}`, seenAt: found?.seenAt });
    });

    test('says so when the database is away', async () => {
      const closed = repository;
      repository = await opened.reopen();
      await expect(closed.find('api-0')).rejects.toMatchObject({ code: 'repository_unavailable' });
      await expect(closed.register({ name: 'api-0', url: 'http://0', seenAt: 0 })).rejects.toMatchObject({
        code: 'repository_unavailable',
      });
    });
  });
}
