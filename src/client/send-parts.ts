import { type LinkAnswer, partLinksAnswer, partsAnswer } from './answers.ts';
import type { ApiClient } from './api-client.ts';
import { LocalFailure } from './failures.ts';
import type { Limiter } from './limiter.ts';
import { sendByLink } from './links.ts';
import type { Tracker } from './order.ts';
import type { FileSource } from './source.ts';

export interface PartsWork {
  uploadId: string;
  plan: { partSize: number; partCount: number };
  source: FileSource;
}

/** Sends the parts that the store does not have yet, each by a link that is signed when its turn comes. */
export async function sendParts(
  { client, limiter }: { client: ApiClient; limiter: Limiter },
  { uploadId, plan, source }: PartsWork,
  tracker: Tracker,
): Promise<void> {
  const { partSize, partCount } = plan;
  const lengthOf = (partNumber: number): number => Math.min(partSize, source.size - (partNumber - 1) * partSize);
  const path = `/v1/uploads/${uploadId}/parts`;
  const { parts: stored } = await client.retrying(() => client.read(partsAnswer, 'GET', path));
  const there = new Set(stored.filter(({ partNumber, size }) => size === lengthOf(partNumber)).map(({ partNumber }) => partNumber));
  for (const partNumber of there) tracker.kept(lengthOf(partNumber));

  const sign = async (partNumber: number): Promise<LinkAnswer> => {
    const { parts } = await client.read(partLinksAnswer, 'POST', path, { json: { partNumbers: [partNumber] } });
    const link = parts.find((part) => part.partNumber === partNumber);
    if (!link)
      throw new LocalFailure('unexpected_answer', `the server signed no link for part ${partNumber}`, 'Check --url or WINDLASS_URL.');
    return { method: 'PUT', url: link.url, headers: link.headers };
  };
  let failure: unknown;
  const missing = Array.from({ length: partCount }, (_, index) => index + 1).filter((partNumber) => !there.has(partNumber));
  await Promise.all(
    missing.map((partNumber) =>
      limiter.run(async () => {
        // One part that fails for good ends the upload; what is under way ends by itself.
        if (failure !== undefined) return;
        const piece = { source, start: (partNumber - 1) * partSize, length: lengthOf(partNumber) };
        await sendByLink(client, () => sign(partNumber), piece, tracker).catch((error: unknown) => {
          failure ??= error;
        });
      }),
    ),
  );
  if (failure !== undefined) throw failure;
}
