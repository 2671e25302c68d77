import { WindlassError } from '../errors.ts';

const ENTITY_TAG = /\s*((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)/gy;

/** The entity tags of an If-Match or If-None-Match header (RFC 9110, section 13.1), `*` for any. Throws `invalid_request`. */
function tagsOf(header: string, name: string): readonly string[] | '*' {
  if (header.trim() === '*') return '*';
  const tags = [...header.matchAll(ENTITY_TAG)];
  if (tags.length > 0 && tags.reduce((length, [text]) => length + text.length, 0) === header.length) return tags.map(([, tag = '']) => tag);
  throw new WindlassError('invalid_request', `${name} must be * or a list of entity tags.`, {
    errors: [{ pointer: `/headers/${name.toLowerCase()}`, detail: 'must be * or a list of entity tags in quotes' }],
  });
}

/**
 * What If-Match and If-None-Match ask for, as a check of the current tag (null: there is nothing yet). The check throws
 * `precondition_failed`. If-Match compares strongly: a weak tag never matches.
 */
export function preconditions(headers: { ifMatch: string; ifNoneMatch: string }): (current: string | null) => void {
  const wanted = headers.ifMatch === '' ? null : tagsOf(headers.ifMatch, 'If-Match');
  const unwanted = headers.ifNoneMatch === '' ? null : tagsOf(headers.ifNoneMatch, 'If-None-Match');
  return (current) => {
    if (wanted !== null && (current === null || (wanted !== '*' && !wanted.includes(current)))) throw failed('If-Match', current);
    if (unwanted === null || current === null) return;
    if (unwanted === '*' || unwanted.some((tag) => tag.replace(/^W\//, '') === current)) throw failed('If-None-Match', current);
  };
}

const failed = (name: string, actual: string | null): WindlassError =>
  new WindlassError('precondition_failed', `${name} does not fit the resource as it is.`, { actual });
