/** What the main thread sends: the calls of one turn of its event loop, in columns, which are cheaper to clone than rows. */
export interface Request {
  ids: number[];
  names: string[];
  args: unknown[][];
  /** The last request of all: answer it, close what is open and end. */
  close: boolean;
}

/** One of them, as the thread carries it out. */
export interface NamedCall {
  id: number;
  name: string;
  args: unknown[];
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
  /** What else the error says: the system's `code`, SQLite's `errcode`. */
  details: { readonly [name: string]: unknown };
}

/** The `code` of a call that the thread never answered. */
export const THREAD_GONE = 'ERR_THREAD_GONE';

export const emptyRequest = (): Request => ({ ids: [], names: [], args: [], close: false });
const emptyReply = (): Reply => ({ ids: [], values: [], failedIds: [], failures: [] });

/**
 * Carries out each call; one that fails is answered with its error, and its neighbours go on. Throws what `run` throws
 * when `isFatal` says that the failure was not that call's alone.
 */
export function answer<C extends { id: number }>(calls: readonly C[], run: (call: C) => unknown, isFatal = (): boolean => false): Reply {
  const reply = emptyReply();
  for (const call of calls) {
    try {
      const value = run(call);
      reply.ids.push(call.id);
      reply.values.push(value);
    } catch (error) {
      if (isFatal()) throw error;
      reply.failedIds.push(call.id);
      reply.failures.push(toFailure(error));
    }
  }
  return reply;
}

/** All of them have failed, for the same reason. */
export function refuse(calls: readonly { id: number }[], error: unknown): Reply {
  const failure = toFailure(error);
  return { ...emptyReply(), failedIds: calls.map(({ id }) => id), failures: calls.map(() => failure) };
}

function toFailure(error: unknown): Failure {
  const { message, stack, ...details } = error as Error;
  return { message, stack, details };
}

export function toError({ message, stack, details }: Failure): Error {
  const error = Object.assign(new Error(message), details);
  if (stack !== undefined) error.stack = stack;
  return error;
}
