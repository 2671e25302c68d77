/** Takes jobs from the file named in its argument, prints their ids, and never finishes them. */
import { writeSync } from 'node:fs';
import { v7 } from 'uuid';
import { EmbeddedJobQueue } from '../../src/adapters/job-queue/embedded/queue.ts';
import { openDatabase } from '../../src/adapters/sqlite/database.ts';

const database = await openDatabase(process.argv[2] ?? '');
const queue = new EmbeddedJobQueue({ database, clock: Date.now, leaseMs: 500, newId: () => v7() });
await queue.consume(({ job }) => {
  writeSync(1, `${job.id}\n`);
  return new Promise(() => undefined);
}, 1);
