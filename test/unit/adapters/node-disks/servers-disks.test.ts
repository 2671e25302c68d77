import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ServersDisks, type ServersDisksParts } from '../../../../src/adapters/node-disks/node-disks.ts';
import type { NodeEntry, NodeRepository } from '../../../../src/ports/node-repository.ts';
import { newKey } from '../../../support/samples.ts';
import { NODE, PeerRig, SECRET } from './peer-rig.ts';

/** Servers by name; counts how often it is asked. */
class KnownNodes implements Pick<NodeRepository, 'find'> {
  readonly entries = new Map<string, NodeEntry>();
  asked = 0;

  register(entry: Pick<NodeEntry, 'name' | 'url' | 'seenAt'>): void {
    this.entries.set(entry.name, { ...entry, weight: 1, draining: false });
  }

  async find(name: string): Promise<NodeEntry | null> {
    this.asked += 1;
    return this.entries.get(name) ?? null;
  }
}

let rigs: PeerRig[];
let nodes: KnownNodes;
let now: number;
let opened: ServersDisks[];
beforeEach(async () => {
  rigs = [await PeerRig.open(), await PeerRig.open()];
  nodes = new KnownNodes();
  now = Date.now();
  opened = [];
  nodes.register({ name: NODE, url: rigs[1]?.url ?? '', seenAt: now });
});
afterEach(async () => {
  for (const disks of opened) disks.close();
  await Promise.all(rigs.map((rig) => rig.close()));
});

/** As the server api-0 has them, whose disks are those of the first rig. */
function disksOf(parts: Partial<ServersDisksParts> = {}): ServersDisks {
  const { spool, direct } = rigs[0] as PeerRig;
  const disks = new ServersDisks({
    node: 'api-0',
    spool,
    direct,
    spoolIsShared: false,
    directIsShared: false,
    listed: [],
    nodes,
    secret: SECRET,
    clock: () => now,
    ...parts,
  });
  opened.push(disks);
  return disks;
}

test('its own disks are read as they are, those of others at their address', async () => {
  const [here, there] = rigs as [PeerRig, PeerRig];
  const disks = disksOf();
  expect(disks.spoolOf('api-0')).toBe(here.spool);
  expect(disks.directOf('api-0')).toBe(here.direct);
  const key = await there.put(Buffer.from('there'), 'spool');
  const found = await disks.spoolOf(NODE).read(key);
  expect(found && (await buffer(found)).toString()).toBe('there');
  expect(await disks.directOf(NODE).stat(key)).toBeNull();
  expect(here.seen).toEqual([]);
});

test('a shared spool is nobody else’s; direct files stay where they are', async () => {
  const [here, there] = rigs as [PeerRig, PeerRig];
  const disks = disksOf({ spoolIsShared: true });
  expect(disks.spoolOf(NODE)).toBe(here.spool);
  expect(await disks.directOf(NODE).stat(await there.put(Buffer.from('x')))).toMatchObject({ size: 1 });
});

test('shared direct files are everybody’s, whatever the record calls the server', async () => {
  const [here] = rigs as [PeerRig];
  const disks = disksOf({ directIsShared: true });
  for (const node of ['shared', 'api-0', NODE, 'api-9']) expect(disks.directOf(node)).toBe(here.direct);
  await expect(disks.spoolOf('api-9').stat(newKey())).rejects.toMatchObject({ code: 'node_unavailable' });
});

test('the address of a server that is listed is not looked up', async () => {
  const [here, there] = rigs as [PeerRig, PeerRig];
  const disks = disksOf({ listed: [{ name: NODE, url: there.url }] });
  nodes.register({ name: NODE, url: here.url, seenAt: now });
  expect(await disks.directOf(NODE).stat(await there.put(Buffer.from('x')))).toMatchObject({ size: 1 });
  expect(nodes.asked).toBe(0);
});

test('an address is looked up again after some seconds: a server that moved is found', async () => {
  const [here, there] = rigs as [PeerRig, PeerRig];
  const disks = disksOf();
  const key = await there.put(Buffer.from('x'));
  for (let time = 0; time < 5; time += 1) expect(await disks.directOf(NODE).stat(key)).toMatchObject({ size: 1 });
  expect(nodes.asked).toBe(1);
  nodes.register({ name: NODE, url: here.url, seenAt: now });
  now += 6000;
  expect(await disks.directOf(NODE).stat(key)).toBeNull();
  expect(here.seen).toHaveLength(1);
});

test.each([
  ['whose address nobody knows', {}, 'api-9'],
  ['where there is no secret to ask it with', { secret: undefined }, NODE],
])('a server %s is unavailable', async (_what, parts, node) => {
  const disk = disksOf(parts).directOf(node);
  const unavailable = { code: 'node_unavailable', detail: expect.stringContaining(node) };
  await expect(disk.stat(newKey())).rejects.toMatchObject(unavailable);
  await expect(disk.read(newKey())).rejects.toMatchObject(unavailable);
  await expect(disk.remove(newKey())).rejects.toMatchObject(unavailable);
});
