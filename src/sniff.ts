import { isUtf8 } from 'node:buffer';
import { fileTypeFromBuffer } from 'file-type';
import { contradicts, isTelling } from './core/content-type.ts';

/** Bytes at the beginning of a file that its type is recognised by. */
export const HEAD_BYTES = 4100;

/** Formats whose files may consist of characters alone. */
const WRITTEN = /^(?:text\/.*|application\/(?:pdf|xml|rtf|postscript|eps|pgp-encrypted|x-ms-regedit)|model\/stl)$/;
const GIF = /^GIF8[79]a/;

/**
 * The media type that the first HEAD_BYTES of a file are recognised as; null when they are not. A text that happens to
 * begin with a short signature ("BM", "MZ", "MAC ") is not taken for a picture, program or sound.
 */
export async function sniff(head: Uint8Array): Promise<string | null> {
  const type = await recognise(head);
  if (type === null || WRITTEN.test(type) || !isText(head)) return type;
  return GIF.test(Buffer.from(head.subarray(0, 6)).toString('latin1')) ? type : null;
}

/** What the first HEAD_BYTES of a file are recognised as, where that contradicts the declared type; else null. */
export async function contradiction(declared: string, head: Uint8Array): Promise<string | null> {
  if (!isTelling(declared)) return null;
  const detected = await sniff(head);
  return contradicts(declared, detected) ? detected : null;
}

async function recognise(head: Uint8Array): Promise<string | null> {
  try {
    return (await fileTypeFromBuffer(head))?.mime ?? null;
  } catch {
    // Cut off or hostile: a file that cannot be parsed is not recognised.
    return null;
  }
}

/** Valid UTF-8 (up to a last character that may be cut in two) without control characters. */
function isText(head: Uint8Array): boolean {
  if (head.some((byte) => byte === 0x7f || (byte < 0x20 && (byte < 0x09 || byte > 0x0d)))) return false;
  return [0, 1, 2, 3].some((cut) => isUtf8(head.subarray(0, head.length - cut)));
}
