import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { writeBatches } from '../../../../src/adapters/disk/write-batches.ts';
import { crowdOf } from '../../../support/crowd.ts';

const MIB = 1024 * 1024;

/** How many chunks of a mebibyte were asked for before the first of them was written, and what was written of four in the end. */
async function writeFour(): Promise<{ ahead: number; intact: boolean }> {
  const bytes = randomBytes(4 * MIB);
  const { promise: gate, resolve: release } = Promise.withResolvers<void>();
  const written: Buffer[] = [];
  let asked = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for (; asked < 4; asked += 1) yield Buffer.from(bytes.subarray(asked * MIB, (asked + 1) * MIB));
  }
  const write = async (pieces: readonly Uint8Array[]): Promise<void> => {
    const batch = Buffer.concat(pieces);
    await gate;
    written.push(batch);
  };
  const done = writeBatches({ write }, chunks(), () => undefined);
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
  const ahead = asked;
  release();
  await done;
  return { ahead, intact: Buffer.concat(written).equals(bytes) };
}

test('a second batch is gathered while the first is being written', async () => {
  expect(await writeFour()).toEqual({ ahead: 1, intact: true });
});

test('but not in a crowd', async () => {
  const leave = crowdOf(40);
  try {
    expect(await writeFour()).toEqual({ ahead: 0, intact: true });
  } finally {
    leave();
  }
});

test('what fails to be written is thrown, and so is what looks at the chunks', async () => {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let sent = 0; sent < 4; sent += 1) yield Buffer.alloc(MIB);
  }
  const full = new Error('full');
  await expect(writeBatches({ write: () => Promise.reject(full) }, chunks(), () => undefined)).rejects.toBe(full);
  const refused = new Error('refused');
  const refuse = (): void => {
    throw refused;
  };
  await expect(writeBatches({ write: async () => undefined }, chunks(), refuse)).rejects.toBe(refused);
});
