/** Names that clients give to files: shown to people and sent back in headers, never used as a path. */

const MAX_BYTES = 255;
const NAMELESS = 'upload';
/** Control characters, separators of lines, marks and overrides of the writing direction (which disguise endings), lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** Nothing in these to be taken out, composed or cut. */
const PLAIN = /^[\x21-\x7e]{1,255}$/;

/** The name alone, without path and dangerous characters, NFC, 1 to 255 bytes of UTF-8. Idempotent. */
export function cleanFilename(name: string): string {
  const base = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
  const clean = PLAIN.test(base) ? base : cut(base.replaceAll(UNSAFE, '').normalize('NFC').trim()).trim();
  return clean === '' || clean === '.' || clean === '..' ? NAMELESS : clean;
}

/** The longest beginning that has at most MAX_BYTES and ends with a whole code point. */
function cut(text: string): string {
  let bytes = 0;
  let end = 0;
  for (const point of text) {
    bytes += Buffer.byteLength(point);
    if (bytes > MAX_BYTES) break;
    end += point.length;
  }
  return text.slice(0, end);
}
