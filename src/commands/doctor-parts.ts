import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { keyOf } from '../core/keys.ts';
import type { Platform } from '../platform.ts';
import { PROBE_TYPE, probe } from './doctor-machine.ts';
import { broken, checked, type Finding, ok, warning } from './finding.ts';

type Parts = Pick<Platform, 'leases' | 'uploads' | 'queue' | 'store' | 'newId' | 'clock'>;

/** Tenant of the objects that the doctor leaves if it dies half-way; the reconciler removes what lies in staging without a record. */
export const PROBE_TENANT = 'doctor';
const LEASE_MS = 10_000;

/** The parts behind the ports, each by a round trip. */
export async function checkParts(parts: Parts): Promise<Finding[]> {
  return [await checkDatabase(parts), await checkQueue(parts), await checkStore(parts)];
}

function checkDatabase({ leases, uploads, newId, clock }: Parts): Promise<Finding> {
  return checked('database', 'Check that DATA_DIR is on a local disk and not full or damaged.', async () => {
    const name = `doctor-${newId()}`;
    const startedAt = clock();
    if (!(await leases.acquire(name, name, startedAt, startedAt + LEASE_MS)))
      return broken('database', 'what was written could not be read back', 'Check the database.');
    await leases.release(name, name);
    await uploads.find(newId());
    return ok('database', `wrote, read and removed in ${clock() - startedAt} ms`);
  });
}

function checkQueue({ queue }: Parts): Promise<Finding> {
  return checked('queue', 'Check the queue.', async () => {
    const { ready, delayed, leased, dead } = await queue.depth();
    const detail = `${ready} ready, ${delayed} delayed, ${leased === null ? '' : `${leased} being worked on, `}${dead} given up`;
    return dead > 0
      ? warning('queue', detail, 'See why (windlass list --state failed), then try again: windlass redrive --all')
      : ok('queue', detail);
  });
}

function checkStore({ store, newId, clock }: Parts): Promise<Finding> {
  return checked('object store', 'Check that the store is there, has space, and lets this process write.', async () => {
    const id = newId();
    const key = keyOf('staging', PROBE_TENANT, id);
    const { bytes, sha256 } = probe(id);
    const startedAt = clock();
    const source = { size: bytes.length, contentType: PROBE_TYPE, sha256, open: async () => Readable.from([bytes]) };
    try {
      await store.put(key, source);
      const read = await store.read(key);
      if (!read || !(await buffer(read)).equals(bytes))
        return broken('object store', 'gave back other bytes than were put', 'Check the store.');
    } finally {
      await store.remove(key);
    }
    if (await store.head(key)) return broken('object store', 'an object that was removed is still there', 'Check the store.');
    return ok('object store', `${store.name}: put, read and removed in ${clock() - startedAt} ms`);
  });
}
