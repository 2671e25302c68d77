import { isAllowed } from '../core/content-type.ts';
import { cleanFilename } from '../core/filename.ts';
import { keyOf } from '../core/keys.ts';
import { type PartPlan, planParts, sizeOfPart } from '../core/parts.ts';
import { amend, type NewUpload, type Staging, type Upload } from '../core/upload.ts';
import { codeOf, WindlassError } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import { outcomeOfRefusal } from '../metrics.ts';
import type { Platform } from '../platform.ts';
import type { PartInfo } from '../ports/object-store.ts';
import type { SignedRequest } from '../ports/presigner.ts';
import { expire, hasLapsed, type PresignedUpload, requirePending, requirePresigned } from './pending.ts';

/** What a client wants to upload. */
export interface PresignOrder
  extends Pick<NewUpload, 'id' | 'tenant' | 'trace' | 'filename' | 'contentType' | 'size' | 'sha256' | 'resource' | 'metadata'> {
  method: 'PUT' | 'POST';
  /** SHA-256 of the request, when it carries an Idempotency-Key. */
  fingerprint: string | null;
}

/** A signed request and when it runs out (epoch ms). */
export interface Link extends SignedRequest {
  expiresAt: number;
}

export interface PartLink {
  partNumber: number;
  url: string;
  headers: Record<string, string>;
  expiresAt: number;
}

/** How the client sends the bytes: by one request, or in parts that are signed one by one until `expiresAt` (epoch ms). */
export type Grant = { request: Link } | { multipart: PartPlan & { expiresAt: number } };

type Parts = Pick<Platform, 'store' | 'presigner' | 'config' | 'clock' | 'log' | 'metrics'> & { ledger: Ledger };

/** Strategy 3, first half: the client gets signed links and sends the bytes straight to the object store. */
export class Presign {
  readonly #deps: Parts;

  constructor(deps: Parts) {
    this.#deps = deps;
  }

  /** Throws `type_not_allowed`, `too_large`, `invalid_request`; for a multipart upload `store_unavailable` too. */
  async create(order: PresignOrder): Promise<Upload> {
    const { metrics } = this.#deps;
    const tenant = metrics.tenant(order.tenant);
    try {
      const upload = await this.#create(order);
      metrics.uploads.inc({ strategy: 'presign', outcome: 'accepted', ...tenant });
      metrics.uploadSize.observe({ strategy: 'presign' }, upload.size);
      return upload;
    } catch (error) {
      metrics.uploads.inc({ strategy: 'presign', outcome: outcomeOfRefusal(error), ...tenant });
      throw error;
    }
  }

  async #create(order: PresignOrder): Promise<Upload> {
    const { config, clock } = this.#deps;
    this.#admit(order);
    const now = clock();
    const expiresAt = now + config.PENDING_TTL_SECONDS * 1000;
    const { method, ...fields } = order;
    const staging = await this.#stage(order, Math.min(now + config.LINK_TTL_SECONDS * 1000, expiresAt));
    return this.#record({ ...fields, filename: cleanFilename(order.filename), strategy: 'presign', staging, expiresAt });
  }

  /** How to send the bytes of a pending upload; null when it is no longer pending. */
  async grant(upload: Upload): Promise<Grant | null> {
    const presigned = requirePresigned(upload);
    if (upload.state !== 'pending' || hasLapsed(upload, this.#deps.clock())) return null;
    const plan = planOf(presigned.staging);
    if (plan) return { multipart: { ...plan, expiresAt: upload.expiresAt ?? presigned.staging.linkExpiresAt } };
    return { request: await this.#sign(presigned) };
  }

  /** A fresh link. Throws `invalid_state`, `expired`. */
  async link(upload: Upload): Promise<Link> {
    const pending = await this.#pending(upload);
    if (pending.staging.multipartId) throw wrongShape('The upload is sent in parts: ask for links to its parts.', pending);
    return this.#sign(pending);
  }

  /** Links to parts, in the order asked for. Throws `invalid_request` for a part that there is not, `invalid_state`, `expired`. */
  async parts(upload: Upload, partNumbers: readonly number[]): Promise<PartLink[]> {
    const pending = await this.#pending(upload);
    const { multipartId, key } = pending.staging;
    const plan = planOf(pending.staging);
    if (!multipartId || !plan) throw wrongShape('The upload is sent in one request: it has no parts.', pending);
    const beyond = partNumbers.findIndex((partNumber) => partNumber > plan.partCount);
    if (beyond >= 0) throw noSuchPart(beyond, plan.partCount);
    const expiresAt = await this.#allowUntil(pending);
    return Promise.all(
      partNumbers.map(async (partNumber) => {
        const size = sizeOfPart(partNumber, plan, upload.size);
        const { url, headers } = await this.#deps.presigner.part({ key, multipartId, partNumber, size, expiresAt });
        return { partNumber, url, headers, expiresAt };
      }),
    );
  }

  /** Parts that the store has, ascending. Throws `invalid_state`, `expired`, `store_unavailable`. */
  async listParts(upload: Upload): Promise<PartInfo[]> {
    const { staging, ...pending } = await this.#pending(upload);
    if (!staging.multipartId) throw wrongShape('The upload is sent in one request: it has no parts.', pending);
    return (await this.#deps.store.listParts(staging.key, staging.multipartId)) ?? [];
  }

  #admit({ contentType, size, method }: PresignOrder): void {
    const { ALLOWED_TYPES, MAX_UPLOAD_BYTES, SINGLE_PART_BYTES } = this.#deps.config;
    if (!isAllowed(contentType, ALLOWED_TYPES))
      throw new WindlassError('type_not_allowed', `Files of type ${contentType} are not taken here.`, { expected: ALLOWED_TYPES });
    if (size > MAX_UPLOAD_BYTES)
      throw new WindlassError('too_large', `The file has ${size} bytes; at most ${MAX_UPLOAD_BYTES} are taken.`, {
        limit: MAX_UPLOAD_BYTES,
      });
    if (method === 'POST' && size > SINGLE_PART_BYTES)
      throw new WindlassError('invalid_request', `A form takes at most ${SINGLE_PART_BYTES} bytes; leave \`method\` out to send parts.`, {
        limit: SINGLE_PART_BYTES,
        errors: [{ pointer: '/method', detail: 'cannot be POST for a file that is sent in parts' }],
      });
  }

  async #stage({ tenant, id, size, contentType, method }: PresignOrder, linkExpiresAt: number): Promise<Staging> {
    const key = keyOf('staging', tenant, id);
    const { config, store } = this.#deps;
    if (size <= config.SINGLE_PART_BYTES) return { key, method, multipartId: null, partSize: null, partCount: null, linkExpiresAt };
    const multipartId = await store.createMultipart(key, contentType);
    return { key, method: 'multipart', multipartId, ...planParts(size, config.PART_BYTES), linkExpiresAt };
  }

  async #record(fields: NewUpload & { staging: Staging }): Promise<Upload> {
    const { ledger, store, log } = this.#deps;
    try {
      return await ledger.create(fields);
    } catch (error) {
      const { key, multipartId } = fields.staging;
      // A write whose outcome is unknown may have happened: then the record owns the multipart upload.
      if (multipartId && codeOf(error) !== 'repository_unavailable')
        await store
          .abortMultipart(key, multipartId)
          .catch((err: unknown) => log.warn({ err, uploadId: fields.id }, 'multipart left behind'));
      throw error;
    }
  }

  async #pending(upload: Upload): Promise<PresignedUpload> {
    requirePresigned(upload);
    const current = hasLapsed(upload, this.#deps.clock()) ? await expire(this.#deps, upload) : upload;
    requirePending(current);
    return requirePresigned(current);
  }

  async #sign(upload: PresignedUpload): Promise<Link> {
    const expiresAt = await this.#allowUntil(upload);
    const { size, contentType, sha256, staging } = upload;
    const terms = { key: staging.key, size, contentType, sha256, expiresAt };
    const { presigner } = this.#deps;
    return { ...(await (staging.method === 'POST' ? presigner.post(terms) : presigner.put(terms))), expiresAt };
  }

  /**
   * Until when a link signed now may work (epoch ms). The record knows it before the client does, because what a link can
   * still write must be cleaned up after it has run out. It is recorded half a lifetime ahead, so that not every link costs a write.
   */
  async #allowUntil(upload: PresignedUpload): Promise<number> {
    const { clock, config, ledger } = this.#deps;
    const lifetime = config.LINK_TTL_SECONDS * 1000;
    const last = upload.expiresAt ?? Number.MAX_SAFE_INTEGER;
    const until = Math.min(clock() + lifetime, last);
    const slack = Math.min(2000, lifetime / 4);
    if (upload.staging.linkExpiresAt >= until - slack) return Math.min(until, upload.staging.linkExpiresAt);
    await ledger.update(upload.id, (current, now) => {
      requirePending(current);
      const { staging } = requirePresigned(current);
      if (staging.linkExpiresAt >= until) return null;
      return amend(current, { staging: { ...staging, linkExpiresAt: Math.min(until + lifetime / 2, last) } }, now);
    });
    return until;
  }
}

function planOf({ partSize, partCount }: Staging): PartPlan | null {
  return partSize === null || partCount === null ? null : { partSize, partCount };
}

const wrongShape = (detail: string, { state }: Pick<Upload, 'state'>): WindlassError =>
  new WindlassError('invalid_state', detail, { actual: state });

const noSuchPart = (index: number, partCount: number): WindlassError =>
  new WindlassError('invalid_request', `The upload has ${partCount} parts.`, {
    limit: partCount,
    errors: [{ pointer: `/partNumbers/${index}`, detail: `must be from 1 to ${partCount}` }],
  });
