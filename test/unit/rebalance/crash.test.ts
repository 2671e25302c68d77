import type { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { Ledger } from '../../../src/ledger.ts';
import type { Platform } from '../../../src/platform.ts';
import type { DiskFile } from '../../../src/ports/disk.ts';
import { Mover, type PlacedUpload } from '../../../src/rebalance/mover.ts';
import { Throttle } from '../../../src/rebalance/throttle.ts';
import { Reconciler } from '../../../src/reconcile/reconciler.ts';
import { bytesOf } from '../../support/platform.ts';
import { ServersRig } from './servers-rig.ts';

const BYTES = Buffer.from('the bytes of a file');
const signal = new AbortController().signal;
const DIED = new Error('the process died');

/** A process that dies at its nth call of a port, before the call has had its effect or right after it. */
class Mortal {
  calls = 0;
  /** What the system closes when a process has died. */
  readonly opened: { close(): unknown }[] = [];
  readonly #diesAt: number;
  readonly #after: boolean;

  constructor(diesAt: number, after: boolean) {
    this.#diesAt = diesAt;
    this.#after = after;
  }

  get alive(): boolean {
    return this.calls < this.#diesAt;
  }

  of<T extends object>(port: T): T {
    return new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => this.#call(String(name), () => member.apply(target, args));
      },
    });
  }

  /** Files that are opened die with their process, too: what is not committed is as it was left. */
  #call(name: string, work: () => unknown): unknown {
    if (name === 'spoolOf' || name === 'directOf') return this.of(work() as object);
    if (!this.alive) return Promise.reject(DIED);
    this.calls += 1;
    if (!this.alive && !this.#after) return Promise.reject(DIED);
    return Promise.resolve(work()).then((outcome) => {
      if (name === 'create') this.opened.push({ close: () => (outcome as DiskFile).discard() });
      if (name === 'read') this.opened.push({ close: () => (outcome as Readable).destroy() });
      if (!this.alive && this.#after) throw DIED;
      if (name !== 'create') return outcome;
      return this.of(outcome as DiskFile);
    });
  }
}

async function moveUntilDeath(rig: ServersRig, upload: PlacedUpload, mortal: Mortal): Promise<string> {
  const { uploads, direct, disks } = rig.platform;
  const platform: Platform = { ...rig.platform, uploads: mortal.of(uploads), direct: mortal.of(direct), disks: mortal.of(disks) };
  const mover = new Mover({ ...platform, ledger: new Ledger(platform, () => undefined), throttle: new Throttle(0, () => 0) });
  return mover.move(upload, 'api-1', signal).catch((error: unknown) => {
    if (error !== DIED) throw error;
    return 'died';
  });
}

/** What every server's reconciler leaves: each looks at its own disk. */
async function reconcileAll(rig: ServersRig): Promise<void> {
  for (const node of ['api-0', 'api-1']) {
    const parts = { ...rig.platform, direct: rig.diskOf(node), ledger: rig.test.ledger, finishIntent: async () => undefined };
    const report = await new Reconciler(parts).run({ now: Date.now() + 60_000 });
    expect(report?.tasks.filter(({ error }) => error !== null)).toEqual([]);
  }
}

async function expectOneWholeFile(rig: ServersRig, id: string): Promise<string> {
  const { location, state } = await rig.find(id);
  expect(state).toBe('stored');
  const [node, key] = [location?.node ?? '', location?.key ?? ''];
  expect(await bytesOf(await rig.diskOf(node).read(key))).toEqual(BYTES);
  return node;
}

test('wherever a move dies, the record names a whole file, and in the end there is no other', async () => {
  for (const after of [false, true]) {
    let died = true;
    let step = 1;
    for (; died; step += 1) {
      const rig = await ServersRig.open(['api-0', 'api-1'], { ORPHAN_GRACE_SECONDS: '0' });
      try {
        const upload = await rig.put('api-0', BYTES);
        const mortal = new Mortal(step, after);
        await moveUntilDeath(rig, upload, mortal);
        died = !mortal.alive;
        await expectOneWholeFile(rig, upload.id);
        await reconcileAll(rig);
        await expectOneWholeFile(rig, upload.id);
        // The lease of the dead has run out.
        rig.now += 60_000;
        const current = (await rig.find(upload.id)) as PlacedUpload;
        if (current.location.node === 'api-0') expect(await rig.mover().move(current, 'api-1', signal)).toBe('moved');
        else await rig.mover().forget(current);
        await reconcileAll(rig);
        expect(await expectOneWholeFile(rig, upload.id)).toBe('api-1');
        for (const file of mortal.opened) await file.close();
        expect([await rig.filesOn('api-0'), (await rig.filesOn('api-1')).length]).toEqual([[], 1]);
      } finally {
        await rig.close();
      }
    }
    // Claiming, reading, creating, writing, committing, switching, removing.
    expect(step).toBeGreaterThan(7);
  }
}, 120_000);
