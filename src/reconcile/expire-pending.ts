import { removeStaging } from '../strategies/removal.ts';
import { scanUploads } from './paging.ts';
import { mend, type Task } from './task.ts';

/** Presigned uploads that were not completed in time lapse, and what was uploaded for them goes. */
export const expirePending: Task = async (context) => {
  const { parts, now } = context;
  for await (const upload of scanUploads(parts.uploads, { states: ['pending'], expiresBefore: now }))
    await mend(context, upload, async () => {
      // The record first: a completion that comes in between then finds it expired, not its object gone.
      const expired = await parts.ledger.transition(upload, 'expired');
      if (expired) await removeStaging(parts, expired);
      return expired !== null;
    });
};
