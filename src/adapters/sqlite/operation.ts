import type { Connection } from './connection.ts';

/** What can be sent to the thread cheaply; documents travel as JSON text. */
export type Argument = string | number | null;

/**
 * Something that the background thread can be asked to do with the database. A write shares its transaction with others
 * that came in at the same time: it must make its change in a single statement, so that one that fails leaves nothing
 * behind and its neighbours untouched. A read sees everything acknowledged before it was sent.
 */
export interface Operation<A extends Argument[] = Argument[], R = unknown> {
  readonly writes: boolean;
  readonly run: (connection: Connection, ...args: A) => R;
}

export const read = <A extends Argument[], R>(run: (connection: Connection, ...args: A) => R): Operation<A, R> => ({ writes: false, run });
export const write = <A extends Argument[], R>(run: (connection: Connection, ...args: A) => R): Operation<A, R> => ({ writes: true, run });
