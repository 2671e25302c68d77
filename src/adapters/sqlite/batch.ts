import { emptyReply, type Failure, type Reply, toFailure } from '../background/messages.ts';
import type { Connection } from './connection.ts';
import type { Argument, Operation } from './operation.ts';

export interface Call {
  id: number;
  operation: Operation;
  args: Argument[];
}

/** A call that fails is answered with its error; its neighbours go on, unless the failure undid them as well. */
export function carryOut(connection: Connection, calls: readonly Call[]): Reply {
  const reply = emptyReply();
  const shared = connection.inTransaction;
  for (const { id, operation, args } of calls) {
    try {
      const value = operation.run(connection, ...args);
      reply.ids.push(id);
      reply.values.push(value);
    } catch (error) {
      if (shared && !connection.inTransaction) throw error;
      reply.failedIds.push(id);
      reply.failures.push(toFailure(error));
    }
  }
  return reply;
}

/** The same with one commit for all: what the reply calls done is on the disk. When it cannot be committed, all have failed. */
export function commit(connection: Connection, calls: readonly Call[]): Reply {
  try {
    return connection.transaction(() => carryOut(connection, calls));
  } catch (error) {
    return allFailed(calls, toFailure(error));
  }
}

export const allFailed = (calls: readonly Call[], failure: Failure): Reply => ({
  ...emptyReply(),
  failedIds: calls.map(({ id }) => id),
  failures: calls.map(() => failure),
});
