/** Publishes jobs to the file named in its argument for as long as it lives; prints the id of each once it is acknowledged. */
import { writeSync } from 'node:fs';
import { v7 } from 'uuid';
import { EmbeddedJobQueue } from '../../src/adapters/job-queue/embedded/queue.ts';
import { openDatabase } from '../../src/adapters/sqlite/database.ts';

const newId = (): string => v7();
const queue = new EmbeddedJobQueue({ database: await openDatabase(process.argv[2] ?? ''), clock: Date.now, leaseMs: 1_000, newId });

async function publish(): Promise<never> {
  for (;;) {
    const id = newId();
    await queue.publish({ id, kind: 'relay', uploadId: newId(), trace: { requestId: id, traceparent: null } });
    writeSync(1, `${id}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, publish));
