import { backoffMs } from '../core/backoff.ts';
import type { Lease, Upload } from '../core/upload.ts';
import { codeOf, isWindlassError, type WindlassError } from '../errors.ts';
import { whileLeased } from '../leased.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { Delivery, Job, Settlement } from '../ports/job-queue.ts';
import { Conclusion, failureOf, notUploaded } from './conclusion.ts';
import { type PresignedUpload, requirePresigned } from './pending.ts';
import { type Circumstances, verify } from './verification.ts';

export type VerifierParts = Pick<Platform, 'uploads' | 'resources' | 'store' | 'config' | 'clock' | 'newId' | 'log' | 'metrics'> & {
  ledger: Ledger;
};

/** The record after a verification, null when the lease was lost; `problem` is what the client is to be told. */
export interface Concluded {
  upload: Upload | null;
  problem: WindlassError | null;
}

/** A verification under way in this process. */
export interface Work {
  readonly upload: PresignedUpload;
  readonly result: Promise<Concluded>;
  /** True once the lease is being given back after a failure: the result is near. */
  readonly settling: boolean;
  /** Nobody waits for it any more: from now on it has to come to an end by itself. */
  leave(): void;
}

type Known = Omit<Circumstances, 'signal'>;

const DONE: Settlement = { outcome: 'done' };
const LOST: Concluded = { upload: null, problem: null };

/** Verifies uploads whose lease is held here: in a request, beyond its end, or in a job. */
export class Verifier {
  readonly #parts: VerifierParts;
  readonly #conclusion: Conclusion;
  readonly #running = new Set<Promise<unknown>>();

  constructor(parts: VerifierParts) {
    this.#parts = parts;
    this.#conclusion = new Conclusion(parts);
  }

  newLease(): Lease {
    const { newId, clock, config } = this.#parts;
    return { token: newId(), expiresAt: clock() + config.LEASE_SECONDS * 1000 };
  }

  /** Begins to verify an upload whose lease has just been taken. */
  start(claimed: Upload, known: Known): Work {
    const upload = requirePresigned(claimed);
    const stage = { settling: false, background: false };
    const result = this.#track(this.#inRequest(upload, known, stage));
    // Once nobody waits, there is nobody to hear of a failure but the log.
    result.catch((err: unknown) => this.#parts.log.warn({ err, uploadId: upload.id }, 'a completion failed'));
    return {
      upload,
      result,
      get settling() {
        return stage.settling;
      },
      leave() {
        stage.background = true;
      },
    };
  }

  /** Carries out a job. Throws `repository_unavailable`. */
  async runJob(job: Job, { signal }: Pick<Delivery, 'signal'>): Promise<Settlement> {
    const { uploads, ledger, clock, config } = this.#parts;
    const upload = await uploads.find(job.uploadId);
    if (upload?.state !== 'verifying') return DONE;
    const now = clock();
    if (upload.lease && upload.lease.expiresAt > now) return { outcome: 'retry', delayMs: upload.lease.expiresAt - now + 100 };
    // Each try took its worker down: the next would too.
    if (upload.attempts >= config.JOB_ATTEMPTS) return this.#giveUp(requirePresigned(upload), null);
    const claimed = await ledger.transition(upload, 'verifying', { lease: this.newLease(), attempts: upload.attempts + 1 });
    if (!claimed) return { outcome: 'retry', delayMs: backoffMs(1, config) };
    return this.#track(this.#inJob(requirePresigned(claimed), signal));
  }

  /** Resolves when nothing is under way in this process any more. */
  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  async #inRequest(upload: PresignedUpload, known: Known, stage: { settling: boolean; background: boolean }): Promise<Concluded> {
    try {
      return await this.#verify(upload, known);
    } catch (error) {
      stage.settling = true;
      // A client that hears of the failure can report completion again; for one that was told to wait a job goes on.
      const release = stage.background || known.resumed;
      const released = release ? this.#conclusion.release(upload, { job: stage.background }) : this.#conclusion.reopen(upload);
      // A lease that cannot be given back ends by itself.
      const after = await released.catch((failure: unknown) => {
        throw isWindlassError(error) ? error : failure;
      });
      if (after === null) return LOST;
      throw error;
    }
  }

  async #inJob(upload: PresignedUpload, signal: AbortSignal): Promise<Settlement> {
    const { config, log } = this.#parts;
    try {
      await this.#verify(upload, { resumed: true }, signal);
      return DONE;
    } catch (error) {
      const { id: uploadId, attempts } = upload;
      log.warn({ err: error, uploadId, attempts, requestId: upload.trace.requestId }, 'an attempt to verify an upload failed');
      if (!signal.aborted && attempts >= config.JOB_ATTEMPTS) return this.#giveUp(upload, error);
      // Cut off by the worker's end, the try does not count. Whoever has taken the lease over has a job of its own.
      const released = await this.#conclusion.release(upload, signal.aborted ? { attempts: attempts - 1 } : {});
      if (!released) return DONE;
      return { outcome: 'retry', delayMs: signal.aborted ? 0 : backoffMs(attempts, config) };
    }
  }

  #verify(upload: PresignedUpload, known: Known, outer?: AbortSignal): Promise<Concluded> {
    return whileLeased(this.#parts, upload, (signal) => this.#conclude(upload, { ...known, signal }), outer);
  }

  async #conclude(upload: PresignedUpload, circumstances: Circumstances): Promise<Concluded> {
    const verdict = await verify(this.#parts.store, upload, circumstances);
    if (verdict.outcome === 'sound') {
      const stored = await this.#conclusion.store(upload, verdict.sha256);
      if (stored) void this.#track(this.#conclusion.tidy(upload));
      return { upload: stored, problem: null };
    }
    if (verdict.outcome === 'mismatch') {
      const failed = await this.#conclusion.reject(upload, verdict.mismatch);
      return { upload: failed, problem: failed && failureOf(failed, verdict.mismatch) };
    }
    const pending = await this.#conclusion.reopen(upload);
    return { upload: pending, problem: pending && notUploaded() };
  }

  async #giveUp(upload: PresignedUpload, error: unknown): Promise<Settlement> {
    const reason = codeOf(error) ?? 'internal';
    const detail = `The upload could not be verified in ${upload.attempts} tries.`;
    return (await this.#conclusion.giveUp(upload, { code: reason, detail })) ? { outcome: 'dead', reason } : DONE;
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    this.#running.add(promise);
    const forget = (): void => void this.#running.delete(promise);
    promise.then(forget, forget);
    return promise;
  }
}
