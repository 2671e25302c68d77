import { stat } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import type { Connection } from '../client/connection.ts';
import { diskKeyOf } from '../core/keys.ts';
import { isWindlassError } from '../errors.ts';
import type { NodeDisk } from '../ports/node-disks.ts';
import type { Parts } from '../wire.ts';
import { PROBE_TENANT, probe } from './doctor-machine.ts';
import { broken, checked, type Finding, ok, reasonOf, skipped } from './finding.ts';

type NodeParts = Pick<Parts, 'config' | 'spool' | 'spoolAt' | 'newId'>;

const ADVICE = 'NODE_URL must lead workers to this very server, not to a load balancer or another one.';

/** Whether others can read this server's spool at NODE_URL: a file is put there and fetched as a worker would. */
export function checkNodeUrl(parts: NodeParts, connection: Connection): Promise<Finding> {
  const { config, spoolAt } = parts;
  return checked('NODE_URL', ADVICE, async () => {
    const url = config.NODE_URL;
    if (!url) return skipped('NODE_URL', 'not set, so no other server or worker reads what lies here');
    const remote = spoolAt(url);
    if (!remote) return skipped('NODE_URL', 'without INTERNAL_SECRET no requests between servers are answered');
    try {
      // Before anything is written: whether signed requests are answered there at all.
      await remote.stat(diskKeyOf('spool', PROBE_TENANT, parts.newId()));
      const spooled = await stat(config.SPOOL_DIR).catch(() => null);
      return spooled ? await fetchProbe(parts, url, remote) : ok('NODE_URL', `${url} answers signed requests`);
    } catch (error) {
      if (!isWindlassError(error) || error.code !== 'node_unavailable') throw error;
      return explain(error, await answersHere(connection, config.PORT));
    }
  });
}

async function fetchProbe({ spool, newId }: NodeParts, url: string, remote: NodeDisk): Promise<Finding> {
  const id = newId();
  const key = diskKeyOf('spool', PROBE_TENANT, id);
  const { bytes } = probe(id);
  const file = await spool.create(key, bytes.length);
  try {
    await file.write([bytes]);
    await file.commit();
    const found = await remote.read(key);
    if (!found) return broken('NODE_URL', `a server answers at ${url}, but it does not have this SPOOL_DIR`, ADVICE);
    if (!(await buffer(found)).equals(bytes)) return broken('NODE_URL', `${url} gave other bytes than were put into the spool`, ADVICE);
    return ok('NODE_URL', `${url} hands out what lies in the spool`);
  } finally {
    await file.discard();
    await spool.remove(key);
  }
}

function explain(error: unknown, serverRuns: boolean): Finding {
  const reason = reasonOf(error);
  if (/answered 401/.test(reason))
    return broken('NODE_URL', reason, 'Give all servers and workers the same INTERNAL_SECRET, and synchronise their clocks.');
  if (serverRuns || /answered/.test(reason)) return broken('NODE_URL', reason, ADVICE);
  return skipped('NODE_URL', reason, 'Start the server and run this again; if it runs, NODE_URL is not its address.');
}

/** Whether the server of these settings runs on this machine. */
async function answersHere(connection: Connection, port: number): Promise<boolean> {
  if (port === 0) return false;
  const url = new URL(`http://localhost:${port}/`);
  return connection.send({ method: 'HEAD', url, headers: {} }).then(
    (answer) => Boolean(answer.resume()),
    () => false,
  );
}
