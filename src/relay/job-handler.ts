import type { Delivery, Job, Settlement } from '../ports/job-queue.ts';

/** Carries out one kind of job. Throwing counts as a failure that may pass. */
export type JobHandler = (job: Job, delivery: Pick<Delivery, 'signal' | 'deliveries'>) => Promise<Settlement>;
