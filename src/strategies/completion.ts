import { amend, isFinal, type ResourceRef, type Upload } from '../core/upload.ts';
import { withDeadline } from '../deadline.ts';
import { WindlassError } from '../errors.ts';
import type { Platform } from '../platform.ts';
import type { Delivery, Job, Settlement } from '../ports/job-queue.ts';
import { failureOf, notUploaded, sameResource } from './conclusion.ts';
import { noSuchUpload } from './find-upload.ts';
import { type ReportedPart, wholeFile } from './multipart.ts';
import { expire, expired, hasLapsed, type PresignedUpload, requirePresigned } from './pending.ts';
import type { Circumstances } from './verification.ts';
import { Verifier, type VerifierParts, type Work } from './verifier.ts';

/** What the client says when it has uploaded everything. */
export interface CompletionReport {
  /** The parts it has sent; without them the store is asked. */
  parts?: readonly ReportedPart[] | undefined;
  /** Links the upload to another resource than it was made for; null to none. */
  resource?: ResourceRef | null | undefined;
}

/** Larger files are verified by a job, so that no process that takes requests is busy with them for long. */
const INLINE_BYTES = 64 * 1024 ** 2;
const POLL_MS = 250;

/** Strategy 3, second half: checks what the client uploaded, moves it to where it cannot write, and records it. */
export class Completion {
  readonly #parts: VerifierParts & Pick<Platform, 'events'>;
  readonly #verifier: Verifier;

  constructor(parts: VerifierParts & Pick<Platform, 'events'>) {
    this.#parts = parts;
    this.#verifier = new Verifier(parts);
  }

  /**
   * The upload in state `stored`; or `verifying` when that takes longer than COMPLETE_WAIT_SECONDS and goes on by itself.
   * Repeating it after success gives the same again, and moves the link where `resource` is another one. Throws
   * `not_uploaded`, one of the mismatches (the same each time), `expired`, `invalid_state`, `store_unavailable`.
   */
  async complete(upload: Upload, report: CompletionReport = {}): Promise<Upload> {
    const { staging } = requirePresigned(upload);
    if (report.parts && !staging.multipartId)
      throw new WindlassError('invalid_state', 'The upload is sent in one request: it has no parts.', { actual: upload.state });
    if (isFinal(upload.state)) return this.#answer(upload, report.resource);
    const ms = this.#parts.config.COMPLETE_WAIT_SECONDS * 1000;
    return withDeadline(ms, (deadline) => this.#completeUntil(deadline, upload, report));
  }

  /** For the worker: verifies an upload whose completion was left to a job. Throws `repository_unavailable`. */
  runJob(job: Job, delivery: Pick<Delivery, 'signal'>): Promise<Settlement> {
    return this.#verifier.runJob(job, delivery);
  }

  /** Resolves when no verification is under way in this process any more. */
  drain(): Promise<void> {
    return this.#verifier.drain();
  }

  async #completeUntil(deadline: AbortSignal, upload: Upload, report: CompletionReport): Promise<Upload> {
    let current = upload;
    for (;;) {
      if (hasLapsed(current, this.#parts.clock())) current = await expire(this.#parts, current);
      if (isFinal(current.state)) return this.#answer(current, report.resource);
      const work = await this.#begin(requirePresigned(current), report);
      current = work ? await this.#outcome(work, deadline) : await this.#outcomeElsewhere(current.id, deadline);
      if (current.state === 'verifying' && deadline.aborted) return current;
    }
  }

  /** Takes the lease and begins to verify; null when somebody else has it, or a job will do it. */
  async #begin(upload: PresignedUpload, report: CompletionReport): Promise<Work | null> {
    if (upload.state === 'pending') return this.#beginPending(upload, report);
    if (!this.#canTakeOver(upload)) return null;
    const claimed = await this.#parts.ledger.transition(upload, 'verifying', { lease: this.#verifier.newLease() });
    return claimed && this.#verifier.start(claimed, { resumed: true });
  }

  async #beginPending(upload: PresignedUpload, { parts, resource = upload.resource }: CompletionReport): Promise<Work | null> {
    const { ledger } = this.#parts;
    const found = await this.#find(upload, parts);
    if (upload.size > INLINE_BYTES) {
      await ledger.transition(upload, 'verifying', { resource }, 'complete');
      return null;
    }
    const outdated = upload.history.some(({ state }) => state === 'verifying');
    const fields = { resource, lease: this.#verifier.newLease(), attempts: upload.attempts + 1 };
    const claimed = await ledger.transition(upload, 'verifying', fields);
    return claimed && this.#verifier.start(claimed, { ...found, outdated });
  }

  /** What is there to be verified. Throws `not_uploaded`: the upload stays pending and usable. */
  async #find({ staging }: PresignedUpload, reported?: readonly ReportedPart[]): Promise<Pick<Circumstances, 'staged' | 'parts'>> {
    const { store } = this.#parts;
    const { key, multipartId, partSize, partCount } = staging;
    if (multipartId !== null && partSize !== null && partCount !== null) {
      const stored = await store.listParts(key, multipartId);
      if (stored) return { parts: wholeFile({ partSize, partCount }, stored, reported) };
    }
    const staged = await store.head(key);
    if (!staged) throw notUploaded();
    return { staged };
  }

  #canTakeOver({ state, size, lease }: Upload): boolean {
    return state === 'verifying' && size <= INLINE_BYTES && (lease === null || lease.expiresAt <= this.#parts.clock());
  }

  /** What came of our own work; when time is up it goes on without us. */
  async #outcome(work: Work, deadline: AbortSignal): Promise<Upload> {
    const ended = work.result.then(
      () => true,
      () => true,
    );
    const inTime = await Promise.race([ended, aborted(deadline)]);
    if (!inTime && !work.settling) {
      work.leave();
      return work.upload;
    }
    const { upload, problem } = await work.result;
    if (problem) throw problem;
    return upload ?? this.#read(work.upload.id);
  }

  /** The newest record, as soon as there is something to do or to answer, or at the deadline. */
  async #outcomeElsewhere(id: string, deadline: AbortSignal): Promise<Upload> {
    for (;;) {
      const current = await this.#read(id);
      if (current.state !== 'verifying' || this.#canTakeOver(current) || deadline.aborted) return current;
      await this.#hint(id, deadline);
    }
  }

  async #read(id: string): Promise<Upload> {
    const upload = await this.#parts.uploads.find(id);
    if (!upload) throw noSuchUpload();
    return upload;
  }

  /** Resolves at the next event of the upload, at the deadline, or soon: events are no more than hints. */
  #hint(id: string, deadline: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        unsubscribe();
        clearTimeout(timer);
        deadline.removeEventListener('abort', finish);
        resolve();
      };
      const unsubscribe = this.#parts.events.subscribe(({ upload }) => {
        if (upload.id === id) finish();
      });
      const timer = setTimeout(finish, POLL_MS);
      deadline.addEventListener('abort', finish);
    });
  }

  #answer(upload: Upload, resource: ResourceRef | null | undefined): Promise<Upload> | Upload {
    if (upload.state === 'failed') throw failureOf(upload);
    if (upload.state === 'expired') throw expired();
    if (upload.state === 'deleted') throw noSuchUpload();
    return resource && !sameResource(upload.resource, resource) ? this.#link(upload, resource) : upload;
  }

  async #link({ id, tenant }: Upload, resource: ResourceRef): Promise<Upload> {
    const { resources, ledger, clock } = this.#parts;
    const { revision: resourceRevision } = await resources.touch({ tenant, ...resource }, clock());
    return ledger.update(id, (current, now) => {
      if (current.state !== 'stored') throw noSuchUpload();
      return amend(current, { resource, resourceRevision }, now);
    });
  }
}

const aborted = (signal: AbortSignal): Promise<false> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(false);
    else signal.addEventListener('abort', () => resolve(false), { once: true });
  });
