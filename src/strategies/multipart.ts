import type { PartPlan } from '../core/parts.ts';
import { WindlassError } from '../errors.ts';
import type { PartInfo } from '../ports/object-store.ts';

/** A part as the client reports it. */
export interface ReportedPart {
  partNumber: number;
  etag: string;
}

const SHOWN = 20;

/**
 * The parts that make up the whole file. Throws `not_uploaded` when the store lacks one, or has another one than was
 * reported, and `invalid_request` for a report that names a part twice or one that there is not.
 */
export function wholeFile({ partCount }: PartPlan, stored: readonly PartInfo[], reported?: readonly ReportedPart[]): PartInfo[] {
  const byNumber = new Map(stored.map((part) => [part.partNumber, part]));
  const etags = reported && etagsOf(reported, partCount);
  const whole: PartInfo[] = [];
  const missing: number[] = [];
  for (let partNumber = 1; partNumber <= partCount; partNumber += 1) {
    const part = byNumber.get(partNumber);
    if (part && (!etags || etags.get(partNumber) === bare(part.etag))) whole.push(part);
    else missing.push(partNumber);
  }
  if (missing.length > 0) throw incomplete(missing, partCount);
  return whole;
}

function etagsOf(reported: readonly ReportedPart[], partCount: number): Map<number, string> {
  const etags = new Map<number, string>();
  for (const [index, { partNumber, etag }] of reported.entries()) {
    if (partNumber > partCount) throw malformed(index, `must be from 1 to ${partCount}`);
    if (etags.has(partNumber)) throw malformed(index, 'is named twice');
    etags.set(partNumber, bare(etag));
  }
  return etags;
}

/** Clients report ETags with their quotes or without. */
const bare = (etag: string): string => etag.replace(/^"(.*)"$/, '$1');

const malformed = (index: number, detail: string): WindlassError =>
  new WindlassError('invalid_request', 'The report of the parts is wrong.', {
    errors: [{ pointer: `/parts/${index}/partNumber`, detail }],
  });

function incomplete(missing: number[], partCount: number): WindlassError {
  const list = missing.slice(0, SHOWN).join(', ') + (missing.length > SHOWN ? ', …' : '');
  return new WindlassError('not_uploaded', `Parts are missing, or not the ones that were reported: ${list}.`, {
    expected: partCount,
    actual: partCount - missing.length,
  });
}
