import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { keyOf } from '../core/keys.ts';
import { codeOf } from '../errors.ts';
import type { Platform } from '../platform.ts';
import { isTriedQueue } from '../ports/job-queue.ts';
import type { ObjectSource, ObjectStore } from '../ports/object-store.ts';
import type { Parts } from '../wire.ts';
import { PROBE_TENANT, PROBE_TYPE, probe } from './doctor-machine.ts';
import { broken, checked, type Finding, ok, skipped, warning } from './finding.ts';
import { databaseName, type PartName, queueName, storeName } from './part-names.ts';

const LEASE_MS = 10_000;

/** Looks at one part by a round trip. What lies in DATA_DIR is made by opening it, which a doctor must not. */
function checkPart(
  { subject, product, embedded, advice }: PartName,
  dataDirIsThere: boolean,
  check: () => Promise<Finding>,
): Promise<Finding> {
  if (embedded && !dataDirIsThere)
    return Promise.resolve(skipped(subject, `${product}: not there before DATA_DIR is`, 'Make it: windlass provision'));
  return checked(subject, advice, check).then((finding) => ({ ...finding, detail: `${product}: ${finding.detail}` }));
}

/** The parts behind the ports; each is opened for its own check, so that one that is down does not hide the others. */
export async function* checkParts(parts: Parts, dataDirIsThere: boolean): AsyncGenerator<Finding> {
  const { config, clock, newId } = parts;
  yield await checkPart(databaseName(config), dataDirIsThere, async () => {
    const { ports } = await parts.records();
    return checkDatabase({ ...ports, clock, newId });
  });
  yield await checkPart(queueName(config), dataDirIsThere, async () => {
    const { ports } = await parts.messages();
    return checkQueue(ports);
  });
  yield await checkPart(storeName(config), dataDirIsThere, async () => {
    const { ports } = await parts.objects();
    return checkStore({ ...ports, clock, newId });
  });
}

async function checkDatabase({
  leases,
  uploads,
  newId,
  clock,
}: Pick<Platform, 'leases' | 'uploads' | 'newId' | 'clock'>): Promise<Finding> {
  const name = `doctor-${newId()}`;
  const startedAt = clock();
  if (!(await leases.acquire(name, name, startedAt, startedAt + LEASE_MS)))
    return broken('database', 'what was written could not be read back', 'Check the database.');
  await leases.release(name, name);
  await uploads.find(newId());
  return ok('database', `wrote, read and removed in ${clock() - startedAt} ms`);
}

async function checkQueue({ queue }: Pick<Platform, 'queue'>): Promise<Finding> {
  const { ready, delayed, leased, dead } = await queue.depth();
  if (isTriedQueue(queue)) await queue.tryRoundTrip();
  const detail = `${ready} ready, ${delayed} delayed, ${leased === null ? '' : `${leased} being worked on, `}${dead} given up`;
  return dead > 0
    ? warning('queue', detail, 'See why (windlass list --state failed), then try again: windlass redrive --all')
    : ok('queue', detail);
}

async function checkStore({ store, newId, clock }: Pick<Platform, 'store' | 'newId' | 'clock'>): Promise<Finding> {
  const id = newId();
  const key = keyOf('staging', PROBE_TENANT, id);
  const { bytes, sha256 } = probe(id);
  const startedAt = clock();
  // Of all requests this one is answered most clearly: with a code where credentials or bucket are wrong.
  for await (const _ of store.list(key)) break;
  const source = { size: bytes.length, contentType: PROBE_TYPE, sha256, open: async () => Readable.from([Buffer.from(bytes)]) };
  try {
    await store.put(key, source);
    const read = await store.read(key);
    if (!read || !(await buffer(read)).equals(bytes))
      return broken('object store', 'gave back other bytes than were put', 'Check the store.');
    if (!(await refusesOtherBytes(store, keyOf('staging', PROBE_TENANT, newId()), source)))
      return broken(
        'object store',
        'took other bytes than their digest says: what is damaged on the way there would be stored',
        'It checks neither checksums nor signatures of bodies: take another store, or a version of it that does.',
      );
  } finally {
    await store.remove(key);
  }
  if (await store.head(key)) return broken('object store', 'an object that was removed is still there', 'Check the store.');
  return ok('object store', `put, read and removed in ${clock() - startedAt} ms`);
}

/** Damaged bytes under a digest that is not theirs, as a line between here and the store could make them. */
async function refusesOtherBytes(store: ObjectStore, key: string, source: ObjectSource): Promise<boolean> {
  try {
    await store.put(key, { ...source, open: async () => Readable.from([Buffer.alloc(source.size)]) });
    return false;
  } catch (error) {
    if (codeOf(error) === 'digest_mismatch') return true;
    throw error;
  } finally {
    await store.remove(key);
  }
}
