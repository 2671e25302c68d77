import { CommanderError } from 'commander';
import { explain, isUnreachable } from '../client/failures.ts';
import { ConfigError } from '../config.ts';
import { WindlassError } from '../errors.ts';
import { printable } from './text.ts';

/** What the command line ends with. Part of its contract. */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const;

export const EXIT_CODES_HELP = 'Exit codes: 0 all done, 1 some of it failed, 2 wrong usage or settings, 3 the server cannot be reached.';

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (error instanceof ConfigError) return EXIT.usage;
  return isUnreachable(error) ? EXIT.unreachable : EXIT.failed;
}

/** An error for people: what happened to what, where, and the next step. Never a stack. */
export function reportOf(subject: string, error: unknown): string {
  if (error instanceof WindlassError) return `${subject}: ${printable(error.detail)}\n`;
  const { message, places, advice, link, requestId } = explain(error);
  const lines = [
    `${printable(subject)}: ${message.split('\n').map(printable).join('\n')}`,
    ...places.map((place) => `  ${printable(place)}`),
    ...(advice ? [`  ${advice}`] : []),
    ...(link ? [`  See ${printable(link)}`] : []),
    ...(requestId ? [`  Request id: ${printable(requestId)}`] : []),
  ];
  return `${lines.join('\n')}\n`;
}
