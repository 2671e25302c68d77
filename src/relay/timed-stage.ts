import type { JobStage, Metrics } from '../metrics.ts';

/** The outcome of a stage of a job, whose time is measured however it ends. */
export async function timedStage<T>({ jobDuration }: Pick<Metrics, 'jobDuration'>, stage: JobStage, work: () => Promise<T>): Promise<T> {
  const stop = jobDuration.startTimer({ stage });
  try {
    return await work();
  } finally {
    stop();
  }
}
