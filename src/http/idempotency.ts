import { createHash } from 'node:crypto';
import type { Upload } from '../core/upload.ts';
import { codeOf, WindlassError } from '../errors.ts';
import type { Platform } from '../platform.ts';
import type { IdempotencyClaim } from '../ports/idempotency-repository.ts';

/** How long a key is remembered. */
const KEY_TTL_MS = 24 * 3600 * 1000;
const MAX_RETRY_AFTER_SECONDS = 5;
const BARE = /^[\x21-\x7e]{1,255}$/;
/** RFC 9651 string. */
const QUOTED = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;

/**
 * The key of a request: null without the header. A string in quotes (as the IETF draft has it) and the same text without
 * them are one key. Throws `invalid_request` for anything else than 1 to 255 visible ASCII characters.
 */
export function parseIdempotencyKey(header: string | undefined): string | null {
  if (header === undefined) return null;
  const text = header.trim();
  const key = text.startsWith('"') ? QUOTED.exec(text)?.[1]?.replaceAll(/\\(["\\])/g, '$1') : text;
  if (key !== undefined && BARE.test(key)) return key;
  throw new WindlassError('invalid_request', 'Idempotency-Key must have 1 to 255 visible ASCII characters.', {
    errors: [{ pointer: '/headers/idempotency-key', detail: 'must have 1 to 255 visible ASCII characters' }],
  });
}

/** SHA-256 of a request's meaning, as lower-case hex: the same members in any order give the same. */
export const fingerprintOf = (request: Record<string, unknown>): string =>
  createHash('sha256')
    .update(JSON.stringify(canonical(request)))
    .digest('hex');

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, canonical(member)]));
}

/** The upload that exists already, if the request that made it was this one; throws `idempotency_key_reused` if not. */
export function sameRequest(replay: Upload, fingerprint: string): Upload {
  if (replay.fingerprint === fingerprint) return replay;
  throw new WindlassError('idempotency_key_reused', 'This Idempotency-Key was used for a different request.');
}

export interface OnceCall {
  tenant: string;
  /** From `parseIdempotencyKey`. */
  key: string | null;
  newId: () => string;
}

/** The signal of a request whose key nobody can take over. */
const NEVER = new AbortController().signal;

/**
 * Carries out a request that creates an upload, at most once for each key. `run` creates an upload with exactly
 * `uploadId`; when `replay` is given, that upload exists under this key and `run` returns it (see `sameRequest`). Its
 * signal is aborted when somebody else may have taken the key over: then nothing may be created any more.
 */
export async function runOnce(
  deps: Pick<Platform, 'idempotency' | 'uploads' | 'config' | 'clock'>,
  { tenant, key, newId }: OnceCall,
  run: (uploadId: string, replay: Upload | null, signal: AbortSignal) => Promise<Upload>,
): Promise<Upload> {
  if (key === null) return run(newId(), null, NEVER);
  const now = deps.clock();
  const leaseUntil = now + deps.config.LEASE_SECONDS * 1000;
  const claim = { tenant, key, uploadId: newId(), holder: newId(), leaseUntil, expiresAt: now + KEY_TTL_MS };
  const held = await deps.idempotency.claim(claim, now);
  const ours = held.holder === claim.holder;
  const replay = ours && held.uploadId === claim.uploadId ? null : await deps.uploads.find(held.uploadId);
  if (replay) return run(replay.id, replay, NEVER);
  if (!ours) throw stillRunning(held, now);
  return whileClaimed(deps, held, run);
}

function stillRunning({ leaseUntil }: IdempotencyClaim, now: number): WindlassError {
  const seconds = Math.ceil((leaseUntil - now) / 1000);
  return new WindlassError('idempotency_in_progress', 'A request with this Idempotency-Key is being carried out.', {
    retryAfter: Math.min(Math.max(seconds, 1), MAX_RETRY_AFTER_SECONDS),
  });
}

/**
 * Renews the claim while the request runs. A failure frees the key, unless the upload may have been recorded after all:
 * then the claim runs out by itself, and whoever has it next finds the upload, or that there is none.
 */
async function whileClaimed(
  deps: Pick<Platform, 'idempotency' | 'config' | 'clock'>,
  { tenant, key, holder, uploadId, leaseUntil }: IdempotencyClaim,
  run: (uploadId: string, replay: null, signal: AbortSignal) => Promise<Upload>,
): Promise<Upload> {
  const span = deps.config.LEASE_SECONDS * 1000;
  const lost = new AbortController();
  let until = leaseUntil;
  const lose = (): void =>
    lost.abort(new WindlassError('idempotency_in_progress', 'Another request took the key over.', { retryAfter: 1 }));
  const timer = setInterval(async () => {
    const next = deps.clock() + span;
    const renewed = await deps.idempotency.renew(tenant, key, holder, next).catch(() => null);
    if (renewed) until = next;
    else if (renewed === false || deps.clock() > until) lose();
  }, span / 3);
  try {
    return await run(uploadId, null, lost.signal);
  } catch (error) {
    const unknown = codeOf(error) === 'repository_unavailable' || codeOf(error) === 'conflict';
    // A key that cannot be freed now is free when its lease ends; the client should hear of the first failure.
    if (!unknown && !lost.signal.aborted) await deps.idempotency.release(tenant, key, holder).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(timer);
  }
}
