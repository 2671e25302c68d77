import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Placement } from '../../../src/core/placement.ts';
import { dueBackup, type Upload } from '../../../src/core/upload.ts';
import { drain, leave } from '../../../src/rebalance/drain.ts';
import { Rebalancer } from '../../../src/rebalance/rebalancer.ts';
import { Reconciler } from '../../../src/reconcile/reconciler.ts';
import { BackupJob } from '../../../src/relay/backup-job.ts';
import { Direct } from '../../../src/strategies/direct.ts';
import { acceptRelay, newUpload, sha256 } from '../../support/platform.ts';
import { ServersRig } from './servers-rig.ts';

const NAMES = ['api-0', 'api-1', 'api-2'];
const signal = new AbortController().signal;
let rig: ServersRig;
let rebalancer: Rebalancer;
beforeEach(async () => {
  rig = await ServersRig.open(NAMES, { REBALANCE_BYTES_PER_SECOND: '0', ORPHAN_GRACE_SECONDS: '0' });
  rebalancer = rebalancerOf();
});
afterEach(() => rig.close());

const rebalancerOf = (): Rebalancer => new Rebalancer({ ...rig.platform, ledger: rig.test.ledger, members: rig.members });
const run = (node: string, options = {}) => rebalancer.run({ node, dryRun: false, signal, ...options });
const bytesOf = (at: number): Buffer => Buffer.from(`file ${at}`);
const ownerOf = (id: string, names = NAMES): string | null => new Placement(names.map((name) => ({ name, weight: 1 }))).ownerOf(id);

async function putMany(node: string, count = 30): Promise<string[]> {
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) ids.push((await rig.put(node, bytesOf(at))).id);
  return ids;
}
const placesOf = (ids: string[]): Promise<(string | null | undefined)[]> =>
  Promise.all(ids.map(async (id) => (await rig.find(id)).location?.node));
async function expectWhole(ids: string[]): Promise<void> {
  const found = new Map<string, string>();
  for (const node of NAMES) for (const key of await rig.filesOn(node)) found.set(key, node);
  for (const id of ids) {
    const { location } = await rig.find(id);
    expect(found.get(location?.key ?? '')).toBe(location?.node);
  }
  expect(found.size).toBe(ids.length);
}

describe('one pass', () => {
  test('moves each file to its owner, and only those that are not there', async () => {
    const ids = await putMany('api-0');
    const staying = ids.filter((id) => ownerOf(id) === 'api-0');
    const report = await run('api-0');
    expect(report).toMatchObject({ checked: 30, misplaced: 30 - staying.length, moved: 30 - staying.length, postponed: 0, failed: 0 });
    expect(await placesOf(ids)).toEqual(ids.map((id) => ownerOf(id)));
    for (const id of staying) expect(await rig.find(id)).toMatchObject({ version: 1 });
    await expectWhole(ids);
    for (const node of NAMES) expect(await run(node)).toMatchObject({ misplaced: 0 });
  });

  test('only counts in a dry run', async () => {
    const ids = await putMany('api-0', 10);
    expect((await run('api-0', { dryRun: true })).misplaced).toBe(ids.filter((id) => ownerOf(id) !== 'api-0').length);
    expect(new Set(await placesOf(ids))).toEqual(new Set(['api-0']));
  });

  test('leaves files of a server that is away where they are, and brings them home when it is back', async () => {
    const ids = await putMany('api-0');
    rig.away.add('api-1');
    const waiting = ids.filter((id) => ownerOf(id) === 'api-1').length;
    expect(waiting).toBeGreaterThan(0);
    expect((await run('api-0')).postponed).toBe(waiting);
    rig.away.clear();
    rig.now += 10_000;
    expect(await run('api-0')).toMatchObject({ moved: waiting, postponed: 0 });
    expect(await placesOf(ids)).toEqual(ids.map((id) => ownerOf(id)));
    await expectWhole(ids);
  });

  test('ends early when the server whose files they are does not answer', async () => {
    await putMany('api-1');
    rig.away.add('api-1');
    expect(await run('api-1')).toMatchObject({ unreachable: true, moved: 0 });
  });

  test('takes up what another one left half-way', async () => {
    const ids = await putMany('api-0', 6);
    for (const id of ids) {
      const upload = await rig.find(id);
      const lease = { token: 'one that died', expiresAt: rig.now + 1000 };
      await rig.test.ledger.amend(upload, { lease, move: { node: 'api-2', key: `${upload.location?.key}~0123456789ab` } });
    }
    expect((await run('api-0')).moved).toBe(0);
    rig.now += 2000;
    await run('api-0');
    expect(await placesOf(ids)).toEqual(ids.map((id) => ownerOf(id)));
    for (const id of ids) expect(await rig.find(id)).toMatchObject({ move: null, lease: null });
  });

  test('without members nothing belongs elsewhere', async () => {
    const ids = await putMany('api-0', 3);
    for (const name of NAMES) await rig.join(name, null);
    expect(await run('api-0')).toMatchObject({ checked: 3, misplaced: 0 });
    expect(new Set(await placesOf(ids))).toEqual(new Set(['api-0']));
  });
});

describe('what a move leaves behind when its process dies', () => {
  const reconcile = async (): Promise<void> => {
    const { ledger } = rig.test;
    const report = await new Reconciler({ ...rig.platform, ledger, finishIntent: async () => undefined }).run({ now: Date.now() + 5000 });
    expect(report?.tasks.filter(({ error }) => error !== null)).toEqual([]);
  };

  test('a copy that the record announces is kept, also before the record names it', async () => {
    const upload = await rig.put('api-1', bytesOf(0));
    const copy = { node: 'api-0', key: `${upload.location.key}~0123456789ab` };
    const claimed = await rig.test.ledger.amend(upload, { move: copy });
    await rig
      .diskOf('api-0')
      .create(copy.key, null)
      .then((file) => file.commit());
    await reconcile();
    expect(await rig.filesOn('api-0')).toEqual([copy.key]);
    await rig.test.ledger.amend(claimed as NonNullable<typeof claimed>, { move: null });
    await reconcile();
    expect(await rig.filesOn('api-0')).toEqual([]);
    expect(await rig.filesOn('api-1')).toEqual([upload.location.key]);
  });

  test('an old file that could not be removed goes later', async () => {
    const upload = await rig.put('api-0', bytesOf(0));
    rig.onUse = (node, method) => {
      if (node === 'api-0' && method === 'remove') rig.away.add('api-0');
    };
    expect(await rig.mover().move(upload, 'api-1', signal)).toBe('moved');
    rig.onUse = () => undefined;
    rig.away.clear();
    expect(await rig.filesOn('api-0')).toEqual([upload.location.key]);
    await reconcile();
    expect(await rig.filesOn('api-0')).toEqual([]);
    expect(await rig.filesOn('api-1')).toEqual([(await rig.find(upload.id)).location?.key]);
  });

  test('a file whose record names another server under the same name is never taken for left over', async () => {
    const upload = await rig.put('api-0', bytesOf(0));
    await rig.test.ledger.amend(upload, { location: { ...upload.location, node: 'what-this-server-was-called-before' } });
    await reconcile();
    expect(await rig.filesOn('api-0')).toEqual([upload.location.key]);
  });
});

describe('a server that is drained', () => {
  const drained = () => drain({ platform: rig.platform, rebalancer }, 'api-1', { signal, staleMs: 0 });

  test('is empty, gets nothing new, and is forgotten when it has stopped', async () => {
    const ids = [...(await putMany('api-1')), ...(await putMany('api-0', 5))];
    const onIt = ids.slice(0, 30);
    expect(await drained()).toMatchObject({ moved: onIt.length, left: 0, removed: false });
    expect(await rig.filesOn('api-1')).toEqual([]);
    await rig.join('api-1');
    const rest = ['api-0', 'api-2'];
    expect((await placesOf(onIt)).sort()).toEqual(onIt.map((id) => ownerOf(id, rest)).sort());
    expect((await rig.members.read()).members.map(({ name }) => name).sort()).toEqual(rest);
    rig.now += 120_000;
    expect(await drained()).toMatchObject({ moved: 0, left: 0, removed: true });
    expect(await rig.platform.nodes.find('api-1')).toBeNull();
    expect(await drained()).toBeNull();
  });

  test('leaves when it is stopped, but not before it is empty', async () => {
    await putMany('api-1', 3);
    expect(await leave(rig.platform, 'api-1')).toBe(false);
    await rig.platform.nodes.setDraining('api-1', true);
    expect(await leave(rig.platform, 'api-1')).toBe(false);
    await drained();
    expect(await leave(rig.platform, 'api-1')).toBe(true);
    expect(await rig.platform.nodes.find('api-1')).toBeNull();
  });

  test('gives its files to the next in rank while their owner is away or full', async () => {
    const ids = await putMany('api-1');
    rig.away.add('api-2');
    expect(await drained()).toMatchObject({ moved: 30, left: 0 });
    expect(new Set(await placesOf(ids))).toEqual(new Set(['api-0']));
  });

  test('that is lost gives what has a backup to the others, and the rest is left', async () => {
    const left = await putMany('api-1', 2);
    const backed: string[] = [];
    for (let at = 0; at < 6; at += 1) {
      const { id } = await rig.put('api-1', bytesOf(at), { backup: dueBackup(rig.now) });
      await new BackupJob({ ...rig.platform, ledger: rig.test.ledger }).run({ uploadId: id }, { signal });
      backed.push(id);
    }
    left.push(...(await putMany('api-1', 2)));
    rig.away.add('api-1');
    rig.now += 120_000;
    expect(await drained()).toMatchObject({ moved: 6, left: 4, removed: false });
    expect((await placesOf(backed)).filter((node) => node === 'api-1')).toEqual([]);
    expect(new Set(await placesOf(left))).toEqual(new Set(['api-1']));
  });

  test('waits for files that others are at', async () => {
    const [id = ''] = await putMany('api-1', 1);
    const lease = { token: 'a worker', expiresAt: rig.now + 60_000 };
    const leased = (await rig.test.ledger.amend(await rig.find(id), { lease })) as Upload;
    const draining = drained();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await rig.test.ledger.amend(leased, { lease: null });
    expect(await draining).toMatchObject({ moved: 1, left: 0 });
  });

  test('stays known while something is left, in its spool too', async () => {
    await putMany('api-1', 2);
    rig.away.add('api-1');
    rig.now += 120_000;
    expect(await drained()).toMatchObject({ moved: 0, left: 2, removed: false });
    rig.away.clear();
    await acceptRelay(rig.test, bytesOf(0), { spool: { node: 'api-1', key: 'spool/acme/ab/x' } });
    expect(await drained()).toMatchObject({ moved: 2, left: 0, spooled: 1, removed: false });
  });
});

describe('a new file', () => {
  const deps = () => ({ ...rig.platform, ledger: rig.test.ledger, members: rig.members });
  async function upload(direct = new Direct(deps())) {
    const { id, tenant, trace, file: _, ...fields } = { ...newUpload(rig.platform, bytesOf(0)), file: null };
    const file = await direct.open(tenant, id, 6);
    await file.write([bytesOf(0)]);
    const received = { ...fields, sha256: sha256(bytesOf(0)), file };
    return direct.accept(received, { tenant, id, trace, fingerprint: null, signal });
  }

  test('lies with its owner, whichever server takes it', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { id, location } = await upload();
      expect(location?.node).toBe(ownerOf(id));
      expect(await rig.diskOf(location?.node ?? '').stat(location?.key ?? '')).toMatchObject({ size: 6 });
    }
  });

  test('lies with the next in rank while the owner is away, and the record says so', async () => {
    rig.away.add('api-1').add('api-2');
    for (let round = 0; round < 10; round += 1) expect((await upload()).location?.node).toBe('api-0');
    rig.away.add('api-0');
    await expect(upload()).rejects.toMatchObject({ code: 'node_unavailable', retryAfter: expect.any(Number) });
  });

  test('is not waited for at a server that has just not answered', async () => {
    rig.away.add('api-1');
    const asked: string[] = [];
    rig.onUse = (node, method) => void (method === 'create' && asked.push(node));
    const direct = new Direct(deps());
    for (let round = 0; round < 20; round += 1) await upload(direct);
    expect(asked.filter((node) => node === 'api-1')).toHaveLength(1);
    rig.now += 10_000;
    rig.away.clear();
    for (let round = 0; round < 20; round += 1) await upload(direct);
    expect(asked.filter((node) => node === 'api-1').length).toBeGreaterThan(1);
  });

  test('costs no query', async () => {
    let listed = 0;
    const nodes = new Proxy(rig.platform.nodes, {
      get: (target, name) => {
        if (name === 'list') listed += 1;
        return Reflect.get(target, name).bind(target);
      },
    });
    const { Members } = await import('../../../src/members.ts');
    const direct = new Direct({ ...deps(), members: new Members({ ...rig.platform, nodes }) });
    for (let round = 0; round < 10; round += 1) await upload(direct);
    expect(listed).toBe(1);
    rig.now += 6000;
    await upload(direct);
    expect(listed).toBe(2);
  });
});
