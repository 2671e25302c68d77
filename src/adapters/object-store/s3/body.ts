import { addAbortSignal, finished, type Readable } from 'node:stream';
import { WindlassError } from '../../../errors.ts';
import type { ByteRange } from '../../../ports/disk.ts';
import type { ObjectSource } from '../../../ports/object-store.ts';

/**
 * Sends bytes of a source as the body of one request, which `send` makes. A source that fails or has another number of
 * bytes cuts the request off, so that the store discards it: Node would end it early and wait for an answer that never
 * comes. Afterwards the source's stream is gone, whatever happened. Rejects with what was wrong first.
 */
export async function sendBody<T>(
  source: ObjectSource,
  range: ByteRange | null,
  outer: AbortSignal | undefined,
  send: (body: Readable, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const cut = new AbortController();
  const signal = outer ? AbortSignal.any([outer, cut.signal]) : cut.signal;
  // The stream goes with the request: without a reader it would run on to its end, for nobody.
  const body = addAbortSignal(signal, await (range ? source.open(range) : source.open()));
  let broken: Error | null = null;
  watch(body, range ? range.end - range.start + 1 : source.size, (error) => {
    broken ??= error;
    cut.abort();
  });
  try {
    return await send(body, signal);
  } catch (error) {
    const first = broken ?? error;
    // The connection is in the middle of a body.
    cut.abort();
    throw first;
  } finally {
    body.destroy();
  }
}

/**
 * Reports a stream that fails, breaks off, or has more or fewer bytes. It counts beside whoever reads, and before: a
 * stream in between would hand each chunk on once more.
 */
function watch(body: Readable, expected: number, report: (error: Error) => void): void {
  let seen = 0;
  body.on('data', (chunk: Buffer) => {
    seen += chunk.length;
    if (seen > expected) report(wrongLength('more', expected));
  });
  body.on('end', () => {
    if (seen < expected) report(wrongLength('fewer', expected));
  });
  finished(body, { writable: false }, (error) => {
    if (error) report(error);
  });
  // Listening has set it flowing; it is to wait for its reader.
  body.pause();
}

const wrongLength = (how: 'more' | 'fewer', expected: number): WindlassError =>
  new WindlassError('digest_mismatch', `There are ${how} bytes than were declared.`, { expected });
