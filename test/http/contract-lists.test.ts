import { describe, expect, test } from '@jest/globals';
import { useServer } from '../support/suite.ts';

const suite = useServer();
const make = async (query: Record<string, string> = {}): Promise<string> => (await suite.api.raw('direct', 'x', { query })).body.id;

describe('a list', () => {
  test('is read page by page, newest first, and what is inserted meanwhile disturbs no page', async () => {
    const resource = { resourceType: 'album', resourceId: 'paged' };
    const made: string[] = [];
    for (let n = 0; n < 7; n += 1) made.push(await make(resource));
    const seen: string[] = [];
    let path = '/v1/uploads?resourceType=album&resourceId=paged&limit=3';
    for (let pages = 0; pages < 10; pages += 1) {
      const { status, body } = await suite.api.get(path);
      expect(status).toBe(200);
      expect(body.items.length).toBeLessThanOrEqual(3);
      seen.push(...body.items.map(({ id }) => id));
      if (body.nextCursor === null) break;
      await make(resource);
      path = `/v1/uploads?resourceType=album&resourceId=paged&limit=3&cursor=${encodeURIComponent(body.nextCursor)}`;
    }
    expect(seen).toEqual(made.toReversed());
  });

  test('goes on where it was when the item its cursor came from is deleted', async () => {
    const resource = { resourceType: 'album', resourceId: 'deleted' };
    const made = [await make(resource), await make(resource), await make(resource)];
    const path = '/v1/uploads?resourceType=album&resourceId=deleted&limit=1';
    const { body } = await suite.api.get(path);
    await suite.api.send('DELETE', `/v1/uploads/${made[2]}`);
    const next = await suite.api.get(`${path}&cursor=${encodeURIComponent(body.nextCursor ?? '')}`);
    expect(next.body.items.map(({ id }) => id)).toEqual([made[1]]);
  });

  test('is filtered by state, strategy and resource', async () => {
    const direct = await make({ resourceType: 'listed', resourceId: '1' });
    const pending = (await suite.api.presign({ size: 1, resource: { type: 'listed', id: '2' } })).body.upload.id;
    const ids = async (query: string) => (await suite.api.get(`/v1/uploads?limit=200&${query}`)).body.items.map(({ id }) => id);
    expect(await ids('resourceType=listed')).toEqual([pending, direct]);
    expect(await ids('resourceType=listed&resourceId=1')).toEqual([direct]);
    expect(await ids('resourceType=listed&state=pending')).toEqual([pending]);
    expect(await ids('resourceType=listed&strategy=direct')).toEqual([direct]);
    expect(await ids('resourceType=listed&strategy=relay')).toEqual([]);
  });

  test.each([
    'limit=0',
    'limit=-1',
    'limit=abc',
    'limit=1e3',
    'state=nonsense',
    'strategy=ftp',
    'cursor=nonsense',
    'colour=red',
    'limit=1&limit=2',
  ])('refuses ?%s', async (query) => {
    const { status, body } = await suite.api.get(`/v1/uploads?${query}`);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.errors[0]?.pointer).toContain(query.split('=')[0]);
  });
});
