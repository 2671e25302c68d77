import { Ledger } from './ledger.ts';
import { Members } from './members.ts';
import type { Platform } from './platform.ts';
import { Rebalancer } from './rebalance/rebalancer.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import { BackupJob } from './relay/backup-job.ts';
import { Dispatcher } from './relay/dispatcher.ts';
import { RelayJob } from './relay/relay-job.ts';
import { Worker } from './relay/worker.ts';
import { Completion } from './strategies/completion.ts';
import { Deletion } from './strategies/deletion.ts';
import { Direct } from './strategies/direct.ts';
import { Presign } from './strategies/presign.ts';
import { Redrive } from './strategies/redrive.ts';
import { Relay } from './strategies/relay.ts';
import { Resources } from './strategies/resources.ts';
import { StoredContent } from './strategies/stored-content.ts';

export type Assembly = ReturnType<typeof assemble>;

/** Everything above the ports, put together: the same for the server, the worker and the commands. Starts nothing. */
export function assemble(platform: Platform) {
  const dispatcher = new Dispatcher(platform);
  const ledger = new Ledger(platform, (upload) => dispatcher.dispatch(upload));
  const members = new Members(platform);
  const parts = { ...platform, ledger, members };
  const completion = new Completion(parts);
  const resources = new Resources({ ...parts, completion });
  const relayJob = new RelayJob(parts);
  const backupJob = new BackupJob(parts);
  return {
    platform,
    dispatcher,
    ledger,
    members,
    completion,
    direct: new Direct(parts),
    relay: new Relay(parts),
    presign: new Presign(parts),
    resources,
    deletion: new Deletion(parts),
    redrive: new Redrive(parts),
    content: new StoredContent(parts),
    rebalancer: new Rebalancer(parts),
    reconciler: new Reconciler({ ...parts, finishIntent: (resource) => resources.finishIntent(resource) }),
    worker: new Worker({
      ...platform,
      handlers: {
        relay: (job, delivery) => relayJob.run(job, delivery),
        complete: (job, delivery) => completion.runJob(job, delivery),
        backup: (job, delivery) => backupJob.run(job, delivery),
      },
    }),
  };
}
