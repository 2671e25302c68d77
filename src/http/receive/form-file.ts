import type { ByteSource } from '../../byte-source.ts';
import { OCTET_STREAM } from '../../core/content-type.ts';
import { cleanFilename } from '../../core/filename.ts';
import { WindlassError } from '../../errors.ts';
import { contentType as contentTypeSchema } from '../schemas.ts';
import { validator } from '../validation.ts';
import { FIELD_NAMES, invalid, type UploadFieldValues, uploadFields } from './fields.ts';
import type { FormFields } from './form-fields.ts';
import { type Intake, requireAllowed, type TakenFile, takeFile } from './intake.ts';

const MIB = 1024 * 1024;
const validFields = validator(uploadFields);

export interface FormLimits {
  /** Longest value of a field, in bytes. */
  fieldBytes: number;
  allowedTypes: readonly string[] | undefined;
}

export interface TakenForm extends TakenFile {
  filename: string;
  contentType: string;
  fields: UploadFieldValues;
}

/** How much larger than its file a form may be: all fields at their longest, boundaries, and what is buffered on the way. */
export const formOverhead = (fieldBytes: number): number => FIELD_NAMES.size * fieldBytes + 2 * MIB;

export interface FormFile {
  fields: FormFields;
  filename: string;
  /** Null when the part does not say. */
  contentType: string | null;
  intake: Intake;
  limits: FormLimits;
  sizeHint: number | null;
}

/** Takes the file, once all that stands before it has been found in order. */
export async function takeFormFile(openFile: () => ByteSource, form: FormFile): Promise<TakenForm> {
  const fields = validFields(form.fields.values);
  const contentType = form.contentType ?? OCTET_STREAM;
  if (!contentTypeSchema.safeParse(contentType).success) throw invalid('/file', 'must be of a media type such as image/jpeg');
  requireAllowed(contentType, form.limits.allowedTypes);
  const claim = { contentType, size: null, sizeHint: form.sizeHint, sha256: fields.sha256 ?? null };
  const taken = await takeFile(openFile, form.intake, claim);
  return { ...taken, filename: cleanFilename(form.filename), contentType, fields };
}

export const tooMuchBeside = (limit: number): WindlassError =>
  new WindlassError('too_large', `The form has more than ${limit} bytes beside its file.`, { limit });

/** Said of a form that its parser cannot read, and of one that ends too soon. */
export const malformed = (cause?: unknown): WindlassError => invalid('', 'is no well-formed form, or was cut off', cause);
