import type { ByteRange } from '../ports/disk.ts';

/** What a Range header asks for; `whole` also for units and lists of ranges that are not served (RFC 9110, section 14.2). */
export type RangeRequest = { kind: 'whole' } | { kind: 'part'; range: ByteRange } | { kind: 'unsatisfiable' };

export function parseRange(header: string | undefined, size: number): RangeRequest {
  const asked = /^bytes\s*=(.*)$/i.exec(header ?? '')?.[1];
  if (asked === undefined || asked.includes(',')) return { kind: 'whole' };
  const [, first, last] = /^\s*(\d*)-(\d*)\s*$/.exec(asked) ?? [];
  if (first === undefined || last === undefined || first + last === '') return { kind: 'unsatisfiable' };
  // Without a first byte it is the last so many bytes, or all of a file that has fewer.
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start <= end ? { kind: 'part', range: { start, end } } : { kind: 'unsatisfiable' };
}

/** One validator of a representation: its strong ETag and when it was last changed (epoch ms). */
export interface Validator {
  etag: string;
  modifiedAt: number;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Whether the preconditions let a GET or HEAD pass, in the order of RFC 9110, section 13.2.2. */
export function evaluatePreconditions(headers: Headers, { etag, modifiedAt }: Validator): 'pass' | 'not_modified' | 'failed' {
  const ifMatch = textOf(headers['if-match']);
  if (ifMatch !== undefined && !lists(ifMatch, etag, 'strong')) return 'failed';
  if (ifMatch === undefined && isOlder(headers['if-unmodified-since'], modifiedAt)) return 'failed';
  const ifNoneMatch = textOf(headers['if-none-match']);
  if (ifNoneMatch !== undefined) return lists(ifNoneMatch, etag, 'weak') ? 'not_modified' : 'pass';
  const since = dateOf(headers['if-modified-since']);
  return since !== null && seconds(modifiedAt) <= seconds(since) ? 'not_modified' : 'pass';
}

/** Whether a Range is to be obeyed: If-Range names this very representation, or is not there. */
export function ifRangeHolds(header: string | string[] | undefined, { etag, modifiedAt }: Validator): boolean {
  const text = textOf(header);
  if (text === undefined) return true;
  if (text.startsWith('"')) return text === etag;
  const date = dateOf(text);
  return date !== null && seconds(date) === seconds(modifiedAt);
}

const textOf = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header.join(', ') : header?.trim());

function lists(header: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (header === '*') return true;
  const tags = header.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g) ?? [];
  return tags.some((tag) => tag === etag || (comparison === 'weak' && tag === `W/${etag}`));
}

const isOlder = (header: string | string[] | undefined, modifiedAt: number): boolean => {
  const date = dateOf(header);
  return date !== null && seconds(date) < seconds(modifiedAt);
};

function dateOf(header: string | string[] | undefined): number | null {
  const at = Date.parse(textOf(header) ?? '');
  return Number.isNaN(at) ? null : at;
}

/** HTTP dates have no fractions. */
const seconds = (at: number): number => Math.floor(at / 1000);
