import { isUtf8 } from 'node:buffer';
import { parse as parseDisposition } from 'content-disposition';
import type { Context } from 'koa';
import { OCTET_STREAM } from '../../core/content-type.ts';
import { cleanFilename } from '../../core/filename.ts';
import { WindlassError } from '../../errors.ts';
import type { ProgressLimits } from '../../progress.ts';
import { parseContentDigest } from '../digest-fields.ts';
import { contentType as contentTypeSchema } from '../schemas.ts';
import { openBody } from './body.ts';
import { invalid, type UploadFieldValues } from './fields.ts';
import { type Intake, type TakenFile, takeFile } from './intake.ts';

/** What the headers of a raw upload say. */
export interface RawAnnouncement {
  kind: 'raw';
  filename: string;
  contentType: string;
  sha256: string | null;
  /** Bytes; null for a chunked body. */
  length: number | null;
  fields: UploadFieldValues;
}

export function announceRaw(ctx: Context, length: number | null, fields: UploadFieldValues): RawAnnouncement {
  return {
    kind: 'raw',
    filename: filenameOf(ctx.get('Content-Disposition')),
    contentType: contentTypeOf(ctx.get('Content-Type')),
    sha256: agreed(parseContentDigest(ctx.req.headers['content-digest'] as string | undefined), fields.sha256 ?? null),
    length,
    fields,
  };
}

export function receiveRaw(ctx: Context, announced: RawAnnouncement, intake: Intake, progress: ProgressLimits): Promise<TakenFile> {
  const { contentType, length, sha256 } = announced;
  return takeFile(() => openBody(ctx, progress), intake, { contentType, size: length, sizeHint: length, sha256 });
}

function contentTypeOf(header: string): string {
  if (header === '') return OCTET_STREAM;
  if (!contentTypeSchema.safeParse(header).success) throw invalid('/headers/content-type', 'must be a media type such as image/jpeg');
  return header;
}

/** RFC 6266; clients that send a plain `filename` in UTF-8 are understood too. */
function filenameOf(header: string): string {
  const bytes = Buffer.from(header, 'latin1');
  const { parameters } = parseDisposition(isUtf8(bytes) ? bytes.toString('utf8') : header);
  return cleanFilename(parameters.filename ?? '');
}

function agreed(header: string | null, parameter: string | null): string | null {
  if (header !== null && parameter !== null && header !== parameter)
    throw new WindlassError('digest_mismatch', 'Content-Digest and the parameter sha256 differ.', { expected: parameter, actual: header });
  return header ?? parameter;
}
