import { parse as parseContentType } from 'content-type';
import type { Context } from 'koa';
import { asReadable, type ByteSource } from '../../byte-source.ts';
import type { ProgressLimits } from '../../progress.ts';
import { openBody } from './body.ts';
import { invalid } from './fields.ts';
import { type FormFile, type FormLimits, formOverhead, type TakenForm, takeFormFile } from './form-file.ts';
import { FormReader } from './form-reader.ts';
import type { Intake } from './intake.ts';
import { PlainForm, plainBeginning } from './plain-form.ts';

/** What the headers of a form say: nothing about the file. */
export interface FormAnnouncement {
  kind: 'form';
  boundary: string;
  /** Bytes of the whole form; null for a chunked body. */
  length: number | null;
}

export function announceForm(ctx: Context, length: number | null): FormAnnouncement {
  const { boundary } = parseContentType(ctx.get('Content-Type')).parameters;
  if (!boundary) throw invalid('/headers/content-type', 'must name the boundary of the form');
  return { kind: 'form', boundary, length };
}

/**
 * Reads a form: fields, then exactly one file part. One that begins as most clients write it needs no parser; any other
 * is read by multer's.
 */
export async function receiveForm(
  ctx: Context,
  announced: FormAnnouncement,
  intake: Intake,
  limits: FormLimits,
  progress: ProgressLimits,
): Promise<TakenForm> {
  const body = openBody(ctx, progress);
  const first = await firstChunk(body);
  // No file is opened for a client that is gone.
  if (body.errored) throw body.errored;
  const plain = plainBeginning(first, announced.boundary, limits.fieldBytes);
  if (plain) {
    const { fields, length } = plain;
    fields.beginFile();
    const maxRestBytes = formOverhead(limits.fieldBytes);
    const form = new PlainForm({ body, boundary: announced.boundary, fields, first, fileAt: length, maxRestBytes });
    return takePlain(body, form, { ...plain, intake, limits, sizeHint: announced.length });
  }
  return new FormReader(announced, intake, limits).read(asReadable(body, first), ctx);
}

/** Resolves with the first bytes of a body, which then pauses; with none when it ends before. */
function firstChunk(body: ByteSource): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (chunk: Buffer): void => {
      body.off('data', settle).off('end', ended).off('error', reject).pause();
      resolve(chunk);
    };
    const ended = (): void => settle(Buffer.alloc(0));
    body.on('error', reject).on('end', ended).on('data', settle).resume();
  });
}

/** Is not told what has been read of the body: that would stay in memory until the file has come. */
async function takePlain(body: ByteSource, form: PlainForm, file: FormFile): Promise<TakenForm> {
  let taken: TakenForm | null = null;
  try {
    taken = await takeFormFile(() => form, file);
    await form.whole;
    return taken;
  } catch (error) {
    body.destroy();
    await taken?.file.discard();
    throw error;
  }
}
