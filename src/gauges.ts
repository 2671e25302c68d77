import type { Platform } from './platform.ts';

/** Brings the gauges that describe a state, not an event, up to date; called when metrics are read. */
export async function refreshGauges({
  uploads,
  spool,
  metrics,
  clock,
}: Pick<Platform, 'uploads' | 'spool' | 'metrics' | 'clock'>): Promise<void> {
  const age = (at: number | null): number => (at === null ? 0 : Math.max(0, clock() - at) / 1000);
  const [backlog, space] = await Promise.allSettled([uploads.backlog(), spool.space()]);
  metrics.dependencyUp.set({ dependency: 'repository' }, backlog.status === 'fulfilled' ? 1 : 0);
  if (backlog.status === 'fulfilled') {
    metrics.outboxMessages.set(backlog.value.outboxMessages);
    metrics.outboxOldest.set(age(backlog.value.outboxOldestAt));
    metrics.queuedOldest.set(age(backlog.value.queuedOldestAt));
  }
  if (space.status === 'fulfilled') {
    metrics.spoolCapacity.set(space.value.capacityBytes);
    metrics.spoolBytes.set(space.value.capacityBytes - space.value.freeBytes);
  }
}
