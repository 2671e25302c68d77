import type { Job } from '../../../ports/job-queue.ts';
import type { ClaimedJob } from './operations.ts';

/** A job that a handler of this process is at work on. */
export interface HeldJob {
  readonly seq: number;
  /** Whose settlement counts: another claim of the same job has another lease. */
  readonly lease: string;
  readonly job: Job;
  /** How often it was handed out before. */
  readonly deliveries: number;
  /** Aborted when the lease is lost. */
  readonly lost: AbortController;
  /** Epoch ms. */
  leasedUntil: number;
}

export const held = ([seq, doc, deliveries]: ClaimedJob, lease: string, leasedUntil: number): HeldJob => ({
  seq,
  lease,
  job: JSON.parse(doc),
  deliveries,
  lost: new AbortController(),
  leasedUntil,
});

export const lose = ({ job, lost }: HeldJob): void => lost.abort(new Error(`the lease on job ${job.id} was lost`));
