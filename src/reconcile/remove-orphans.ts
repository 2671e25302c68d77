import { findOrphans, type Orphan } from './orphans.ts';
import { attempt, type Task } from './task.ts';

/** Removes bytes of one kind that no record owns, once they are older than the grace period. */
export const removeOrphans =
  (kind: Orphan['kind']): Task =>
  async (context) => {
    const { parts, now, dryRun } = context;
    for await (const orphan of findOrphans(parts, kind, now - parts.config.ORPHAN_GRACE_SECONDS * 1000)) {
      context.signal.throwIfAborted();
      if (orphan.foreign) {
        context.foreign(`${kind}: ${orphan.key}`);
        continue;
      }
      context.found(kind);
      if (dryRun) continue;
      if (await attempt(context, { kind, key: orphan.key }, async () => void (await orphan.remove()))) context.removed(kind);
    }
  };
