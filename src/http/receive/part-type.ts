/** Longest header of a part that the form's parser takes, and room for the boundary before it. */
const WINDOW_BYTES = 17 * 1024;

/**
 * Tells whether the file part of a form says its own type. The parser answers `text/plain` for a part without
 * Content-Type (RFC 7578, section 4.4), and many clients leave it out for pictures: what they did not say must not be
 * held against them. Sees each chunk before the parser does, and keeps no more than a header's length.
 */
export class PartTypeWatch {
  readonly #delimiter: string;
  #window = Buffer.alloc(0);

  constructor(boundary: string) {
    this.#delimiter = `--${boundary}\r\n`;
  }

  see(chunk: Buffer): void {
    this.#window = Buffer.concat([this.#window.subarray(-WINDOW_BYTES), chunk]);
  }

  /** Asked when the parser has just found the part `name`. Delimiters cannot be part of a value, so the first match is it. */
  declaresType(name: string): boolean {
    const text = this.#window.toString('latin1');
    for (const part of text.split(this.#delimiter).slice(1)) {
      const header = part.slice(0, part.indexOf('\r\n\r\n'));
      if (isNamed(header, name)) return /^content-type:/im.test(header);
    }
    return true;
  }
}

const isNamed = (header: string, name: string): boolean => new RegExp(`;[ \\t]*name="?${name}"?[ \\t]*(?:;|\\r\\n|$)`, 'i').test(header);
