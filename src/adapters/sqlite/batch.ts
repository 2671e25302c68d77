import { answer, type Reply, refuse } from '../background/messages.ts';
import type { Connection } from './connection.ts';
import type { Argument, Operation } from './operation.ts';

export interface Call {
  id: number;
  operation: Operation;
  args: Argument[];
}

/** A call that fails is answered with its error; its neighbours go on, unless the failure undid them as well. */
export function carryOut(connection: Connection, calls: readonly Call[]): Reply {
  const shared = connection.inTransaction;
  return answer(
    calls,
    ({ operation, args }) => operation.run(connection, ...args),
    () => shared && !connection.inTransaction,
  );
}

/** The same with one commit for all: what the reply calls done is on the disk. When it cannot be committed, all have failed. */
export function commit(connection: Connection, calls: readonly Call[]): Reply {
  try {
    return connection.transaction(() => carryOut(connection, calls));
  } catch (error) {
    return refuse(calls, error);
  }
}
