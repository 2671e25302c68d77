import { jobOperations } from '../job-queue/embedded/operations.ts';
import { idempotencyOperations } from '../records/sqlite/idempotency-operations.ts';
import { leaseOperations } from '../records/sqlite/lease-operations.ts';
import { nodeOperations } from '../records/sqlite/node-operations.ts';
import { resourceOperations } from '../records/sqlite/resource-operations.ts';
import { uploadOperations } from '../records/sqlite/upload-operations.ts';
import { type Operation, read } from './operation.ts';

/** Everything that the background thread can do with the database, by name. An operation is added in the file of its repository. */
export const OPERATIONS = {
  ...uploadOperations,
  ...resourceOperations,
  ...idempotencyOperations,
  ...leaseOperations,
  ...nodeOperations,
  ...jobOperations,
  ping: read((connection) => connection.get('SELECT count(*) FROM sqlite_schema') !== undefined),
};

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
export type ArgumentsOf<N extends OperationName> = Operations[N] extends Operation<infer A, unknown> ? A : never;
export type ResultOf<N extends OperationName> = ReturnType<Operations[N]['run']>;
