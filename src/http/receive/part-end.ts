const CR = 0x0d;
const NOTHING = Buffer.alloc(0);

/** Bytes of a part, and, once its end has come, what begins with the delimiter behind it. */
export interface Piece {
  content: Buffer[];
  rest: Buffer | null;
}

/** Finds the end of a form's part in whatever pieces its bytes come: one native search a piece, and no copy of the bytes. */
export class PartEnd {
  readonly #delimiter: Buffer;
  /** What may begin the delimiter. */
  #held = NOTHING;

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  }

  /** Bytes. */
  get delimiterLength(): number {
    return this.#delimiter.length;
  }

  take(chunk: Buffer): Piece {
    const held = this.#held;
    if (held.length === 0) return this.#search(chunk);
    this.#held = NOTHING;
    const missing = this.#delimiter.length - held.length;
    // A boundary has no CR in it, so a delimiter that is under way is the only one that can begin in `held`.
    const begun = Buffer.concat([held, chunk.subarray(0, missing)]);
    if (this.#begins(begun)) {
      if (begun.length === this.#delimiter.length) return { content: [], rest: Buffer.concat([begun, chunk.subarray(missing)]) };
      this.#held = begun;
      return { content: [], rest: null };
    }
    const { content, rest } = this.#search(chunk);
    return { content: [held, ...content], rest };
  }

  #search(chunk: Buffer): Piece {
    const at = chunk.indexOf(this.#delimiter);
    const end = at >= 0 ? at : this.#possible(chunk);
    const content = end > 0 ? [chunk.subarray(0, end)] : [];
    if (at >= 0) return { content, rest: chunk.subarray(at) };
    if (end < chunk.length) this.#held = Buffer.from(chunk.subarray(end));
    return { content, rest: null };
  }

  /** Where a delimiter may begin that is cut off by the end of the chunk; its length when none does. */
  #possible(chunk: Buffer): number {
    const from = Math.max(0, chunk.length - this.#delimiter.length + 1);
    const cr = chunk.subarray(from).lastIndexOf(CR);
    return cr >= 0 && this.#begins(chunk.subarray(from + cr)) ? from + cr : chunk.length;
  }

  #begins(bytes: Buffer): boolean {
    return this.#delimiter.subarray(0, bytes.length).equals(bytes);
  }
}
