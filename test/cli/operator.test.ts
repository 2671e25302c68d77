import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { diskKeyOf } from '../../src/core/keys.ts';
import type { Upload } from '../../src/core/upload.ts';
import { acceptDirect, acceptRelay, openTestPlatform, type TestPlatform, writeFileTo } from '../support/platform.ts';
import { runCommand } from '../support/server.ts';

const BYTES = Buffer.from('some bytes');
let bench: TestPlatform;
beforeEach(async () => {
  bench = await openTestPlatform();
});
afterEach(() => bench.close());

const windlass = (...args: string[]) => runCommand(args, { DATA_DIR: bench.dir, ORPHAN_GRACE_SECONDS: '0' });
/** With all its messages published. */
const failedRelay = async (): Promise<Upload> => {
  const failed = (await bench.ledger.transition(await acceptRelay(bench, BYTES), 'failed')) as Upload;
  const published = failed.outbox.map(({ id }) => id);
  await bench.platform.uploads.removeMessages(failed.id, published);
  return failed;
};
const stateOf = async ({ id }: Upload) => (await bench.platform.uploads.find(id))?.state;

test('windlass audit ends with 0 where all is well, and with 1 and the reason where it is not', async () => {
  const upload = await acceptDirect(bench, BYTES);
  const well = await windlass('audit', '--grace', '3600');
  expect([well.code, well.stdout]).toEqual([0, `1 records checked, ${BYTES.length} bytes read: no problems\n`]);

  await writeFile(join(bench.platform.config.DIRECT_DIR, upload.location?.key ?? ''), 'same bytes');
  const rotten = await windlass('audit', '--grace', '3600', '--json');
  expect(rotten.code).toBe(1);
  expect(JSON.parse(rotten.stdout).problems).toMatchObject([{ kind: 'digest_mismatch', subject: upload.id }]);
  expect((await windlass('audit', '--grace', '3600', '--no-hash')).code).toBe(0);
  expect((await windlass('audit', '--grace', 'soon')).code).not.toBe(0);
});

test('windlass reconcile removes what it would only have named in a dry run', async () => {
  const key = diskKeyOf('spool', 'acme', bench.platform.newId());
  await writeFileTo(bench.platform.spool, key, BYTES);
  const dry = await windlass('reconcile', '--dry-run');
  expect(dry.stdout).toContain('remove spooled files: 1 found, 0 put right');
  expect(await bench.platform.spool.stat(key)).not.toBeNull();
  const { code, stdout } = await windlass('reconcile', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ dryRun: false, removed: { spool: 1 } });
  expect(await bench.platform.spool.stat(key)).toBeNull();
});

test('windlass reconcile leaves to another process what that is at', async () => {
  const now = Date.now();
  await bench.platform.leases.acquire('reconciler', 'a server', now, now + 60_000);
  const disks = await windlass('reconcile');
  expect(disks.code).toBe(0);
  expect(disks.stdout).toContain('remove spooled files: 0 found');
  expect(disks.stdout).not.toContain('expire pending uploads');
  expect(disks.stdout).toContain('another process is reconciling right now what servers share: left to it');
  await bench.platform.leases.acquire('reconciler of local', 'a server', now, now + 60_000);
  const { code, stdout } = await windlass('reconcile');
  expect([code, stdout]).toEqual([0, 'another process is reconciling right now: nothing was left to do\n']);
});

test('windlass redrive tries the named uploads again, or all', async () => {
  const [first, second, third] = [await failedRelay(), await failedRelay(), await failedRelay()];
  const named = await windlass('redrive', first.id, 'no-id');
  expect([named.code, named.stdout]).toEqual([1, `${first.id}: queued\n`]);
  expect(named.stderr).toContain('no-id: this is not the id of an upload');
  expect([await stateOf(first), await stateOf(second)]).toEqual(['queued', 'failed']);
  expect((await windlass('redrive', '--all')).code).toBe(0);
  expect([await stateOf(second), await stateOf(third)]).toEqual(['queued', 'queued']);
  // The command does not leave publishing the jobs to a server that may not run.
  for (const { id } of [first, second, third]) expect((await bench.platform.uploads.find(id))?.outbox).toEqual([]);
  expect((await windlass('redrive')).code).not.toBe(0);
});
