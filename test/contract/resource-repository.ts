import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Resource, ResourceKey, ResourceRepository } from '../../src/ports/resource-repository.ts';

export interface OpenedResourceRepository {
  /** Empty. */
  repository: ResourceRepository;
  /** The same resources through a new connection; the old one is gone. */
  reopen(): Promise<ResourceRepository>;
  close(): Promise<void>;
}

const KEY: ResourceKey = { tenant: 'acme', type: 'post', id: '42' };
const fresh = (key: ResourceKey = KEY): Resource => ({
  ...key,
  attributes: { title: 'Cats', tags: ['a', null, 1.5], nested: { none: null } },
  revision: 1,
  intent: null,
  createdAt: 1_000,
  updatedAt: 1_000,
});
const next = (resource: Resource, changes: Partial<Resource>): Resource => ({ ...resource, revision: resource.revision + 1, ...changes });

/** What every ResourceRepository does. */
export function describeResourceRepository(name: string, open: () => Promise<OpenedResourceRepository>): void {
  describe(`resource repository contract: ${name}`, () => {
    let opened: OpenedResourceRepository;
    let repository: ResourceRepository;
    beforeEach(async () => {
      opened = await open();
      repository = opened.repository;
    });
    afterEach(() => opened.close());

    const created = async (key: ResourceKey = KEY): Promise<Resource> => {
      const resource = fresh(key);
      expect(await repository.replace(resource, 0)).toBe(true);
      return resource;
    };
    /** The resource with an intent that its next revision decided on. */
    const withIntent = async (key: ResourceKey, updatedAt: number): Promise<Resource> => {
      const resource = await created(key);
      const decided = next(resource, { intent: { revision: 2, uploads: ['b'], previous: ['a'] }, updatedAt });
      expect(await repository.replace(decided, 1)).toBe(true);
      return decided;
    };

    test('a resource is found as it was written, also after opening again', async () => {
      const resource = await created();
      expect(await repository.find(KEY)).toEqual(resource);
      repository = await opened.reopen();
      expect(await repository.find(KEY)).toEqual(resource);
    });

    test('one that does not exist is null; tenant, type and id all count', async () => {
      await created();
      for (const other of [{ tenant: 'other' }, { type: 'page' }, { id: '43' }])
        expect(await repository.find({ ...KEY, ...other })).toBeNull();
    });

    test('keys may be any text', async () => {
      const odd = ["'; DROP TABLE resources; --", '"q"', '100%_', '🐈‍⬛', 'a/b', 'a.b', '$where', ' '];
      for (const text of odd) await created({ tenant: 'acme', type: text, id: text });
      for (const text of odd)
        expect(await repository.find({ tenant: 'acme', type: text, id: text })).toMatchObject({ type: text, id: text });
      expect(await repository.find({ tenant: 'acme', type: "'; DROP TABLE resources; --", id: '"q"' })).toBeNull();
    });

    test('is created once when several create it', async () => {
      const results = await Promise.all(Array.from({ length: 8 }, (_, i) => repository.replace({ ...fresh(), attributes: { i } }, 0)));
      expect(results.filter(Boolean)).toHaveLength(1);
      expect((await repository.find(KEY))?.attributes).toEqual({ i: results.indexOf(true) });
    });

    test('is replaced by exactly one of those who saw the same revision', async () => {
      const resource = await created();
      const results = await Promise.all(Array.from({ length: 8 }, (_, i) => repository.replace(next(resource, { attributes: { i } }), 1)));
      expect(results.filter(Boolean)).toHaveLength(1);
      expect(await repository.find(KEY)).toEqual({ ...resource, attributes: { i: results.indexOf(true) }, revision: 2 });
    });

    test('attributes are replaced as a whole', async () => {
      const resource = await created();
      await repository.replace(next(resource, { attributes: { title: null } }), 1);
      expect((await repository.find(KEY))?.attributes).toEqual({ title: null });
    });

    test('is not replaced when there is none of that revision', async () => {
      expect(await repository.replace(next(fresh(), {}), 1)).toBe(false);
      const resource = await created();
      expect(await repository.replace(next(resource, { revision: 8 }), 7)).toBe(false);
      expect(await repository.find(KEY)).toEqual(resource);
    });

    test('keeps members that this version does not know', async () => {
      const resource = { ...fresh(), colour: 'of tomorrow' };
      await repository.replace(resource, 0);
      await repository.touch(KEY, 2_000);
      await repository.replace({ ...fresh(), revision: 3, intent: { revision: 3, uploads: [], previous: [] } }, 2);
      await repository.settle(KEY, 3);
      expect(await repository.find(KEY)).toEqual({ ...resource, revision: 3 });
    });

    describe('touch', () => {
      test('creates what is missing', async () => {
        const touched = await repository.touch(KEY, 2_000);
        expect(touched).toEqual({ ...KEY, attributes: {}, revision: 1, intent: null, createdAt: 2_000, updatedAt: 2_000 });
        expect(await repository.find(KEY)).toEqual(touched);
      });

      test('raises the revision of what is there and leaves its attributes and intent', async () => {
        const resource = await withIntent(KEY, 1_500);
        const touched = await repository.touch(KEY, 2_000);
        expect(touched).toEqual({ ...resource, revision: 3, updatedAt: 2_000 });
        expect(await repository.find(KEY)).toEqual(touched);
      });

      test('by many at once counts every one', async () => {
        const touched = await Promise.all(Array.from({ length: 10 }, () => repository.touch(KEY, 2_000)));
        expect(touched.map(({ revision }) => revision).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      });
    });

    describe('an intent', () => {
      test('is settled without raising the revision', async () => {
        const resource = await withIntent(KEY, 1_500);
        await repository.settle(KEY, 2);
        expect(await repository.find(KEY)).toMatchObject({ ...resource, intent: null, revision: 2 });
        await expect(repository.settle(KEY, 2)).resolves.toBeUndefined();
      });

      test('that a newer one has replaced is left alone', async () => {
        const resource = await withIntent(KEY, 1_500);
        const newer = next(resource, { intent: { revision: 3, uploads: [], previous: ['a', 'b'] } });
        await repository.replace(newer, 2);
        await repository.settle(KEY, 2);
        expect(await repository.find(KEY)).toEqual(newer);
      });

      test('that was never finished is found by its age', async () => {
        const old = await withIntent(KEY, 1_500);
        const young = await withIntent({ ...KEY, id: '43' }, 3_000);
        await created({ ...KEY, id: '44' });
        expect(await repository.unsettled(3_000, 10)).toEqual([old]);
        expect(await repository.unsettled(9_000, 10)).toHaveLength(2);
        expect(await repository.unsettled(9_000, 1)).toHaveLength(1);
        await repository.settle(KEY, 2);
        expect(await repository.unsettled(9_000, 10)).toEqual([young]);
      });
    });

    test('is removed only in the revision that was seen', async () => {
      await created();
      expect(await repository.remove(KEY, 2)).toBe(false);
      expect(await repository.remove(KEY, 1)).toBe(true);
      expect(await repository.remove(KEY, 1)).toBe(false);
      expect(await repository.find(KEY)).toBeNull();
    });

    test('says so when the database is away', async () => {
      const closed = repository;
      repository = await opened.reopen();
      await expect(closed.find(KEY)).rejects.toMatchObject({ code: 'repository_unavailable' });
      await expect(closed.touch(KEY, 1)).rejects.toMatchObject({ code: 'repository_unavailable' });
    });
  });
}
