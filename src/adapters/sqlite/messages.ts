import type { Argument } from './operation.ts';
import type { OperationName } from './operations.ts';

/** What the main thread sends: the calls of one turn of its event loop, in columns, which are cheaper to clone than rows. */
export interface Request {
  ids: number[];
  names: OperationName[];
  args: Argument[][];
  /** The last request of all: answer it, close the file and end. */
  close: boolean;
}

/** What the thread answers; `failures` belongs to `failedIds`, as `values` belongs to `ids`. */
export interface Reply {
  ids: number[];
  values: unknown[];
  failedIds: number[];
  failures: Failure[];
}

/** An error in a form that survives the way between threads. */
export interface Failure {
  message: string;
  stack: string | undefined;
  /** SQLite's primary result code (https://www.sqlite.org/rescode.html), null when the error is not SQLite's. */
  resultCode: number | null;
}

export const emptyRequest = (): Request => ({ ids: [], names: [], args: [], close: false });
export const emptyReply = (): Reply => ({ ids: [], values: [], failedIds: [], failures: [] });
