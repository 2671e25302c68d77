import { expect } from '@jest/globals';
import type { ApiClient } from './api-client.ts';
import { eventually } from './eventually.ts';

interface Suite {
  api: ApiClient;
  server: { storedFiles(): Promise<string[]> };
}

/** Files of clients' bytes that belong to no upload that the API lists, unfinished ones included. */
async function leftovers({ api, server }: Suite): Promise<string[]> {
  const ids = await allIds(api);
  return (await server.storedFiles()).filter((path) => !ids.some((id) => path.includes(id)));
}

/** What was not acknowledged leaves nothing behind, and the server still answers. */
export const expectNoLeftovers = (suite: Suite): Promise<void> => eventually(async () => expect(await leftovers(suite)).toEqual([]));

/** Ids of all uploads that are listed, page by page. */
export async function allIds(api: ApiClient): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await api.get(`/v1/uploads?limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    ids.push(...body.items.map(({ id }) => id));
    cursor = body.nextCursor;
  }
  return ids;
}
