import type { Context } from 'koa';
import { essence } from '../../core/content-type.ts';
import type { Strategy } from '../../core/upload.ts';
import { WindlassError } from '../../errors.ts';
import type { Platform } from '../../platform.ts';
import type { ProgressLimits } from '../../progress.ts';
import type { ReceivedFile } from '../../strategies/received-file.ts';
import { declaredLength, refuseEncoded } from './body.ts';
import { invalid, type UploadFieldValues } from './fields.ts';
import { announceForm, type FormAnnouncement, receiveForm } from './form.ts';
import { formOverhead } from './form-file.ts';
import { type Intake, requireAllowed, type TakenFile } from './intake.ts';
import { announceRaw, type RawAnnouncement, receiveRaw } from './raw.ts';

export type Announcement = RawAnnouncement | FormAnnouncement;

/** Receives one file from the body of a request, sent as it is or as a form. */
export class Receiver {
  readonly #deps: Pick<Platform, 'config' | 'metrics' | 'clock'>;
  readonly #progress: ProgressLimits;

  constructor(deps: Pick<Platform, 'config' | 'metrics' | 'clock'>) {
    this.#deps = deps;
    const { UPLOAD_IDLE_SECONDS, MIN_UPLOAD_BYTES_PER_SECOND } = deps.config;
    this.#progress = { idleMs: UPLOAD_IDLE_SECONDS * 1000, minBytesPerSecond: MIN_UPLOAD_BYTES_PER_SECOND, clock: deps.clock };
  }

  /** All that can be refused before a byte of the body is read: `invalid_request`, `too_large`, `type_not_allowed`. */
  announce(ctx: Context, query: UploadFieldValues): Announcement {
    const { MAX_UPLOAD_BYTES, MAX_JSON_BYTES, ALLOWED_TYPES } = this.#deps.config;
    refuseEncoded(ctx.req);
    const length = declaredLength(ctx.req);
    const isForm = essence(ctx.get('Content-Type')) === 'multipart/form-data';
    if (length !== null && length > MAX_UPLOAD_BYTES + (isForm ? formOverhead(MAX_JSON_BYTES) : 0))
      throw new WindlassError('too_large', `Files of more than ${MAX_UPLOAD_BYTES} bytes are not taken.`, { limit: MAX_UPLOAD_BYTES });
    if (isForm) {
      if (Object.keys(query).length > 0) throw invalid('/query', 'must be empty: the fields of a form go into the form');
      return announceForm(ctx, length);
    }
    const announced = announceRaw(ctx, length, query);
    requireAllowed(announced.contentType, ALLOWED_TYPES);
    return announced;
  }

  /** The file, complete and checked, not committed. Nothing is left of one that fails. */
  async receive(ctx: Context, announced: Announcement, strategy: Strategy, open: Intake['open']): Promise<ReceivedFile> {
    const { config, metrics } = this.#deps;
    const labels = { strategy, ...metrics.tenant(ctx.state.principal?.tenant ?? '') };
    const onBytes = (bytes: number): void => metrics.receivedBytes.inc(labels, bytes);
    const intake: Intake = { open, maxBytes: config.MAX_UPLOAD_BYTES, onBytes };
    if (announced.kind === 'raw') return received(await receiveRaw(ctx, announced, intake, this.#progress), announced);
    const limits = { fieldBytes: config.MAX_JSON_BYTES, allowedTypes: config.ALLOWED_TYPES };
    const taken = await receiveForm(ctx, announced, intake, limits, this.#progress);
    return received(taken, taken);
  }
}

function received(
  { file, size, sha256 }: TakenFile,
  { filename, contentType, fields }: { filename: string; contentType: string; fields: UploadFieldValues },
): ReceivedFile {
  const { resourceType: type, resourceId: id, metadata = {} } = fields;
  const resource = type !== undefined && id !== undefined ? { type, id } : null;
  return { filename, contentType, size, sha256, resource, metadata, file };
}
