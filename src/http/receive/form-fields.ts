import { WindlassError } from '../../errors.ts';
import { FIELD_NAMES, invalid } from './fields.ts';

export const FILE_PART = 'file';
export const MAX_NAME_BYTES = 64;

export interface FieldInfo {
  nameTruncated: boolean;
  valueTruncated: boolean;
}

const WHOLE: FieldInfo = { nameTruncated: false, valueTruncated: false };

/** The fields of one form, in the order in which they come. */
export class FormFields {
  readonly #maxBytes: number;
  readonly #values = new Map<string, string>();
  #fileBegun = false;

  /** `maxBytes`: longest value of a field. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get values(): Record<string, string> {
    return Object.fromEntries(this.#values);
  }

  /** What is wrong with one more field; null when it was kept. */
  add(name: string | undefined, value: string, info = WHOLE): WindlassError | null {
    const problem = this.problemOf(name, info);
    if (!problem && name !== undefined) this.#values.set(name, value);
    return problem;
  }

  /** Fields go before the file. */
  beginFile(): void {
    this.#fileBegun = true;
  }

  problemOf(name: string | undefined, { nameTruncated, valueTruncated } = WHOLE): WindlassError | null {
    const limit = this.#maxBytes;
    if (name === undefined || nameTruncated || Buffer.byteLength(name) > MAX_NAME_BYTES)
      return invalid('', `has a field whose name is missing or longer than ${MAX_NAME_BYTES} bytes`);
    if (name === FILE_PART) return invalid('/file', 'must be a file part: it has no filename');
    const pointer = `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!FIELD_NAMES.has(name)) return invalid(pointer, 'is not known here');
    if (this.#values.has(name)) return invalid(pointer, 'is given more than once');
    if (this.#fileBegun) return invalid(pointer, 'comes after the file; fields go before it');
    return valueTruncated ? new WindlassError('too_large', `The field ${name} is longer than ${limit} bytes.`, { limit }) : null;
  }
}
