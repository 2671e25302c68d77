import { isWindlassError, WindlassError } from '../../../errors.ts';
import type { Database } from '../../sqlite/database.ts';

/** Calls the database on behalf of the queue: one that is away is `queue_unavailable`. */
export type QueueCall = Database['call'];

export function queueCall(database: Pick<Database, 'call'>): QueueCall {
  return async (name, ...args) => {
    try {
      return await database.call(name, ...args);
    } catch (error) {
      if (isWindlassError(error) && error.code === 'repository_unavailable') {
        throw new WindlassError('queue_unavailable', error.detail, { cause: error, retryAfter: error.retryAfter ?? 1 });
      }
      throw error;
    }
  };
}
