/**
 * What metrics cost: all that one direct upload counts, a scrape, and, in the same run, the SHA-256 of a file of 64 KiB to
 * compare with. `npm run bench:metrics` prints CPU time.
 */
import { createHash } from 'node:crypto';
import { createMetrics } from '../src/metrics.ts';

const UPLOADS = 200_000;
const SCRAPES = 50;

const metrics = createMetrics('0.0.0');
const received = { strategy: 'direct' };
const bytes = Buffer.alloc(64 * 1024, 7);

function upload(size: number): void {
  metrics.uploadsInFlight.inc(received);
  metrics.receivedBytes.inc({ strategy: 'direct', ...metrics.tenant('acme') }, size);
  metrics.directPlaced.inc({ at: 'owner' });
  metrics.transitions.inc({ state: 'stored' });
  metrics.acceptedToStored.observe(received, 0.01);
  metrics.uploads.inc({ strategy: 'direct', outcome: 'stored', ...metrics.tenant('acme') });
  metrics.uploadSize.observe(received, size);
  metrics.uploadsInFlight.dec(received);
  metrics.httpRequestDuration.observe({ route: '/v1/uploads/direct', method: 'POST', status_class: '2xx' }, 0.01);
}

/** CPU time of one, in microseconds. */
async function cost(count: number, work: () => unknown): Promise<number> {
  for (let warm = 0; warm < count / 10; warm += 1) await work();
  const before = process.cpuUsage();
  for (let done = 0; done < count; done += 1) {
    const outcome = work();
    if (outcome instanceof Promise) await outcome;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

const counted = await cost(UPLOADS, () => upload(bytes.length));
const hashed = await cost(UPLOADS / 10, () => createHash('sha256').update(bytes).digest());
const scraped = await cost(SCRAPES, () => metrics.registry.metrics());
const { length } = await metrics.registry.metrics();
console.log(`an upload's metrics: ${counted.toFixed(1)} µs, ${(counted / hashed).toFixed(2)} of hashing 64 KiB (${hashed.toFixed(0)} µs)`);
console.log(`a scrape: ${(scraped / 1000).toFixed(1)} ms, ${(length / 1024).toFixed(0)} KiB`);
