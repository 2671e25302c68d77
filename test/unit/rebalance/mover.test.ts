import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseKey } from '../../../src/core/keys.ts';
import { dueBackup } from '../../../src/core/upload.ts';
import type { PlacedUpload } from '../../../src/rebalance/mover.ts';
import { Throttle } from '../../../src/rebalance/throttle.ts';
import { BackupJob } from '../../../src/relay/backup-job.ts';
import { bytesOf } from '../../support/platform.ts';
import { ServersRig } from './servers-rig.ts';

const BYTES = Buffer.from('the bytes of a file');
const never = new AbortController().signal;
let rig: ServersRig;
beforeEach(async () => {
  rig = await ServersRig.open(['api-0', 'api-1']);
});
afterEach(() => rig.close());

test('a file that is moved has its bytes, name and state there, and nothing is left here', async () => {
  const upload = await rig.put('api-0', BYTES);
  expect(await rig.mover().move(upload, 'api-1', never)).toBe('moved');
  const moved = await rig.find(upload.id);
  expect(moved).toMatchObject({ state: 'stored', sha256: upload.sha256, storedAt: upload.storedAt, move: null, lease: null });
  expect(moved.history).toEqual(upload.history);
  expect(moved.location).toMatchObject({ store: 'disk', node: 'api-1' });
  expect(parseKey(moved.location?.key ?? '')).toEqual(parseKey(upload.location.key));
  expect(await bytesOf(await rig.diskOf('api-1').read(moved.location?.key ?? ''))).toEqual(BYTES);
  expect(await rig.filesOn('api-0')).toEqual([]);
});

test('no event is told of it: it is no change of state', async () => {
  const upload = await rig.put('api-0', BYTES);
  await rig.mover().move(upload, 'api-1', never);
  expect((await rig.find(upload.id)).outbox).toEqual(upload.outbox);
});

test('there and back again, it never gets a name twice', async () => {
  let upload = await rig.put('api-0', BYTES);
  const names = new Set([upload.location.key]);
  for (const to of ['api-1', 'api-0', 'api-1', 'api-0']) {
    expect(await rig.mover().move(upload, to, never)).toBe('moved');
    upload = (await rig.find(upload.id)) as typeof upload;
    names.add(upload.location.key);
  }
  expect(names.size).toBe(5);
  expect([await rig.filesOn('api-0'), await rig.filesOn('api-1')]).toEqual([[upload.location.key], []]);
});

describe('a move that cannot be', () => {
  const expectUntouched = async (upload: Awaited<ReturnType<ServersRig['put']>>): Promise<void> => {
    expect(await rig.find(upload.id)).toMatchObject({ location: upload.location, state: 'stored', move: null, lease: null });
    expect(await rig.filesOn('api-1')).toEqual([]);
  };

  test('leaves the file where it is while the other server is away', async () => {
    const upload = await rig.put('api-0', BYTES);
    rig.away.add('api-1');
    expect(await rig.mover().move(upload, 'api-1', never)).toBe('away');
    rig.away.clear();
    await expectUntouched(upload);
  });

  test('leaves it while the server that has it is away', async () => {
    const upload = await rig.put('api-2', BYTES);
    rig.away.add('api-2');
    expect(await rig.mover().move(upload, 'api-1', never)).toBe('unreachable');
    await expectUntouched(upload);
  });

  test('copies no damaged bytes over, and says so', async () => {
    const upload = await rig.put('api-0', BYTES);
    await writeFile(join(rig.test.dir, 'disks', 'api-0', upload.location.key), 'THE BYTES OF A FILE');
    expect(await rig.mover().move(upload, 'api-1', never)).toBe('damaged');
    await expectUntouched(upload);
    await rm(join(rig.test.dir, 'disks', 'api-0', upload.location.key));
    expect(await rig.mover().move((await rig.find(upload.id)) as typeof upload, 'api-1', never)).toBe('damaged');
  });

  test('is not begun by a second one', async () => {
    const upload = await rig.put('api-0', BYTES);
    const outcomes: string[] = [];
    rig.onUse = async (node, method) => {
      if (node !== 'api-1' || method !== 'create' || outcomes.length > 0) return;
      outcomes.push('begun');
      outcomes.push(await rig.mover().move(upload, 'api-1', never));
      outcomes.push(await rig.mover().move((await rig.find(upload.id)) as typeof upload, 'api-1', never));
    };
    expect(await rig.mover().move(upload, 'api-1', never)).toBe('moved');
    expect(outcomes).toEqual(['begun', 'changed', 'busy']);
    expect(await rig.filesOn('api-1')).toHaveLength(1);
  });

  test('is taken back when it is interrupted', async () => {
    const upload = await rig.put('api-0', BYTES);
    const interrupted = new AbortController();
    rig.onUse = (node, method) => {
      if (node === 'api-1' && method === 'create') interrupted.abort(new Error('interrupted'));
    };
    await expect(rig.mover().move(upload, 'api-1', interrupted.signal)).rejects.toThrow('interrupted');
    await expectUntouched(upload);
  });
});

test('a file that is deleted while it is copied is gone from both', async () => {
  const upload = await rig.put('api-0', BYTES);
  rig.onUse = async (node, method) => {
    if (node !== 'api-1' || method !== 'create') return;
    const current = await rig.find(upload.id);
    await rig.test.ledger.transition(current, 'deleted');
    await rig.diskOf('api-0').remove(upload.location.key);
  };
  expect(['changed', 'damaged']).toContain(await rig.mover().move(upload, 'api-1', never));
  expect((await rig.find(upload.id)).state).toBe('deleted');
  expect([await rig.filesOn('api-0'), await rig.filesOn('api-1')]).toEqual([[], []]);
});

test('a file that is linked to a resource while it is copied is moved, and stays linked', async () => {
  const upload = await rig.put('api-0', BYTES);
  const resource = { type: 'post', id: '42' };
  rig.onUse = async (node, method) => {
    if (node === 'api-1' && method === 'create') await rig.test.ledger.amend(await rig.find(upload.id), { resource, resourceRevision: 1 });
  };
  expect(await rig.mover().move(upload, 'api-1', never)).toBe('moved');
  expect(await rig.find(upload.id)).toMatchObject({ resource, location: { node: 'api-1' } });
});

describe('a rate', () => {
  test('is kept to, and what was not used is not made up for', async () => {
    let now = 1000;
    const throttle = new Throttle(
      100,
      () => now,
      async (ms) => {
        now += ms;
      },
    );
    for (let bytes = 0; bytes < 500; bytes += 50) await throttle.take(50, never);
    expect(now).toBe(1000 + 4500);
    now += 60_000;
    const later = now;
    for (let bytes = 0; bytes < 500; bytes += 50) await throttle.take(50, never);
    expect(now).toBe(later + 4500);
  });

  test('of 0 is none, and a pause ends when it is interrupted', async () => {
    const free = new Throttle(
      0,
      () => 0,
      () => Promise.reject(new Error('it waited')),
    );
    for (let round = 0; round < 10; round += 1) await free.take(1e12, never);
    const interrupted = new AbortController();
    const slow = new Throttle(1, () => 0);
    await slow.take(1e6, interrupted.signal);
    const waiting = slow.take(1, interrupted.signal);
    interrupted.abort(new Error('interrupted'));
    await expect(waiting).rejects.toThrow();
  });
});

describe('with a backup', () => {
  async function backedUp(): Promise<PlacedUpload> {
    const { id } = await rig.put('api-1', BYTES, { backup: dueBackup(rig.now) });
    await new BackupJob({ ...rig.platform, ledger: rig.test.ledger }).run({ uploadId: id }, { signal: never });
    return (await rig.find(id)) as PlacedUpload;
  }
  const expectAtHome = async (id: string): Promise<void> => {
    const { location } = await rig.find(id);
    expect([location?.node, await bytesOf(await rig.diskOf('api-0').read(location?.key ?? ''))]).toEqual(['api-0', BYTES]);
  };

  test('the file of a server that is lost comes from there', async () => {
    const upload = await backedUp();
    rig.away.add('api-1');
    expect(await rig.mover().move(upload, 'api-0', never)).toBe('moved');
    await expectAtHome(upload.id);
  });

  test('so does one that is gone from its disk', async () => {
    const upload = await backedUp();
    await rig.diskOf('api-1').remove(upload.location.key);
    expect(await rig.mover().move(upload, 'api-0', never)).toBe('moved');
    await expectAtHome(upload.id);
  });

  test('where the backup is gone as well, nothing is moved', async () => {
    const upload = await backedUp();
    await rig.platform.store.remove(upload.backup?.state === 'made' ? upload.backup.key : '');
    await rig.diskOf('api-1').remove(upload.location.key);
    expect(await rig.mover().move(upload, 'api-0', never)).toBe('damaged');
  });
});
