import type { LinkAnswer } from './answers.ts';
import { type ApiClient, refusal } from './api-client.ts';
import { isRefused } from './failures.ts';
import { countTry, type Tracker } from './order.ts';
import { type FileSource, readRange } from './source.ts';

/** How often in a row a link may be refused before that is not a question of time. */
const MAX_REFUSALS = 3;

export interface Piece {
  source: FileSource;
  start: number;
  length: number;
}

/** Sends a piece of a file by a signed link; `sign` makes a fresh one for each try, since the one before may have run out meanwhile. */
export async function sendByLink(client: ApiClient, sign: () => Promise<LinkAnswer>, piece: Piece, tracker: Tracker): Promise<void> {
  for (let refusals = 1; ; refusals++) {
    try {
      return await client.retrying(async () => put(client, await sign(), piece, tracker));
    } catch (error) {
      if (!isRefused(error) || error.problem.status !== 403 || refusals >= MAX_REFUSALS) throw error;
    }
  }
}

/** The link carries its own authority: the token stays here. */
async function put(client: ApiClient, link: LinkAnswer, { source, start, length }: Piece, tracker: Tracker): Promise<void> {
  const count = countTry(tracker);
  try {
    const answer = await client.connection.send({
      method: link.method,
      url: new URL(link.url),
      headers: link.headers,
      body: { size: length, open: () => readRange(source, start, length), onChunk: count.add },
    });
    if ((answer.statusCode ?? 0) >= 300) throw await refusal(answer);
    answer.resume();
  } catch (error) {
    count.undo();
    throw error;
  }
}
