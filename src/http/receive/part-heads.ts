/** Longest header of a part that the form's parser takes, and room for the boundary before it. */
const WINDOW_BYTES = 17 * 1024;

/**
 * The heads of a form's parts, read beside the parser for what it does not tell: whether the file part says its own type,
 * and that a file begins, before the parser can. (It answers `text/plain` for a part without Content-Type (RFC 7578,
 * section 4.4), and many clients leave it out for pictures: what they did not say must not be held against them.) Sees
 * all bytes before the file just before the parser does, and keeps no more than a head's length.
 */
export class PartHeads {
  readonly #delimiter: string;
  #window = Buffer.alloc(0);

  constructor(boundary: string) {
    this.#delimiter = `--${boundary}\r\n`;
  }

  see(bytes: Buffer): void {
    this.#window = Buffer.concat([this.#window.subarray(-WINDOW_BYTES), bytes]);
  }

  /** Asked when the parser has just found the part `name`. Delimiters cannot be part of a value, so the first match is it. */
  declaresType(name: string): boolean {
    const head = this.#heads().find((one) => isNamed(one, name));
    return head === undefined || /^content-type:/im.test(head);
  }

  /** Whether the head that has just ended is a file's: it has a file name. */
  endsFileHead(): boolean {
    const head = this.#heads().at(-1);
    return head !== undefined && FILE_HEAD.test(head);
  }

  /** Heads that are whole, oldest first. */
  #heads(): string[] {
    const parts = this.#window.toString('latin1').split(this.#delimiter).slice(1);
    return parts.map((part) => part.slice(0, part.indexOf('\r\n\r\n')));
  }
}

/** A line may go on in the next one, if that begins with a space. */
const FILE_HEAD = /^content-disposition:(?:[^\r\n]|\r\n[ \t])*;\s*filename\*?=/im;
const isNamed = (head: string, name: string): boolean => new RegExp(`;[ \\t]*name="?${name}"?[ \\t]*(?:;|\\r\\n|$)`, 'i').test(head);
