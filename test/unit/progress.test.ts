import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { expect, jest, test } from '@jest/globals';
import { asReadable } from '../../src/byte-source.ts';
import { watchProgress } from '../../src/progress.ts';

const MIB = 1024 * 1024;
const code = (name: string) => expect.objectContaining({ code: name });

/** Time that moves only when it is told to; the timers that look at it too. */
const withTime = async (work: (advance: (ms: number) => Promise<void>, clock: () => number) => Promise<void>): Promise<void> => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  try {
    await work((ms) => jest.advanceTimersByTimeAsync(ms), Date.now);
    // The look that finds nobody is the last.
    await jest.runOnlyPendingTimersAsync();
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
};
const settle = (): Promise<void> => new Promise(setImmediate);

test('passes the bytes on unchanged', async () => {
  const bytes = randomBytes(3 * MIB);
  const source = Readable.from(Array.from({ length: 48 }, (_, at) => bytes.subarray(at * 65_536, (at + 1) * 65_536)));
  const watched = watchProgress(source, { idleMs: 60_000, minBytesPerSecond: 1 });
  expect(Buffer.concat(await asReadable(watched).toArray()).equals(bytes)).toBe(true);
});

test('a body that pauses too long is given up', () =>
  withTime(async (advance, clock) => {
    const source = new PassThrough();
    const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0, clock });
    const failure = once(watched.resume(), 'error');
    source.write('x');
    await settle();
    await advance(900);
    source.write('x');
    await settle();
    await advance(900);
    expect(watched.destroyed).toBe(false);
    await advance(600);
    expect(await failure).toEqual([code('upload_timeout')]);
    expect(source.destroyed).toBe(false);
  }));

test('bodies are looked at together, and by nobody once all have ended', () =>
  withTime(async (advance, clock) => {
    const [idle, busy] = [new PassThrough(), new PassThrough()];
    const [slow, quick] = [idle, busy].map((source) => watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0, clock }).resume());
    expect(jest.getTimerCount()).toBe(1);
    for (let step = 0; step < 20; step += 1) {
      busy.write('x');
      await settle();
      await advance(100);
    }
    expect(slow?.errored).toEqual(code('upload_timeout'));
    expect(quick?.destroyed).toBe(false);
    busy.end();
    await settle();
    expect(quick?.readableEnded).toBe(true);
    await advance(250);
    expect(jest.getTimerCount()).toBe(0);
  }));

test('a body that trickles is given up after the first idle time, one of the least rate is not', () =>
  withTime(async (advance, clock) => {
    for (const [bytes, survives] of [
      [9, false],
      [11, true],
    ] as const) {
      const source = new PassThrough();
      const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 100, clock }).on('error', () => undefined);
      watched.resume();
      for (let step = 0; step < 20; step += 1) {
        source.write(Buffer.alloc(bytes));
        await settle();
        await advance(100);
      }
      expect(!watched.destroyed).toBe(survives);
      watched.destroy();
    }
  }));

test('time in which nobody reads is not held against the client', () =>
  withTime(async (advance, clock) => {
    const source = new PassThrough();
    const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 1000, clock });
    watched.on('data', () => undefined).resume();
    await settle();
    watched.pause();
    source.write(Buffer.alloc(300 * 1024));
    source.write(Buffer.alloc(300 * 1024));
    await settle();
    await advance(60_000);
    expect(watched.destroyed).toBe(false);
    watched.destroy();
  }));

test('an end that comes while nobody reads is told when somebody does', async () => {
  const source = new Readable({ read: () => undefined });
  source.push('all');
  source.push(null);
  const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0 });
  const over = once(source, 'end');
  const arrived = once(watched.on('data', () => void watched.pause()).resume(), 'data');
  expect(await arrived).toEqual([Buffer.from('all')]);
  await over;
  expect(watched.readableEnded).toBe(false);
  const ended = once(watched, 'end');
  expect(watched.resume().readableEnded).toBe(true);
  await ended;
});

test('a reader that goes on before anything comes does not stop the source', async () => {
  const source = new PassThrough();
  const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0 });
  watched.resume();
  await settle();
  watched.pause();
  await settle();
  expect(source.isPaused()).toBe(false);
  const arrived = once(watched.resume(), 'data');
  source.write('x');
  expect(await arrived).toEqual([Buffer.from('x')]);
  watched.destroy();
});

test('a chunk that comes while nobody reads waits, and stops the source; the others come after it', async () => {
  const source = new PassThrough();
  const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0 });
  const told: string[] = [];
  watched.on('data', (chunk) => void told.push(chunk.toString())).on('end', () => void told.push('end'));
  watched.resume().pause();
  for (const piece of ['a', 'b', 'c']) source.write(piece);
  source.end();
  await settle();
  expect([told, source.isPaused()]).toEqual([[], true]);
  watched.once('data', () => void watched.pause());
  watched.resume();
  await settle();
  expect(told).toEqual(['a']);
  watched.resume();
  await settle();
  expect(told).toEqual(['a', 'b', 'c', 'end']);
});

test('a client that goes away ends it as aborted, also before anybody reads', async () => {
  const source = new PassThrough();
  const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0 });
  source.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
  expect(await once(watched, 'error')).toEqual([code('aborted')]);
  const late = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0 });
  expect(late.resume().errored).toEqual(code('aborted'));
});

test('destroying it leaves the source paused, so that the rest can still be drained', async () => {
  const source = new PassThrough();
  const watched = watchProgress(source, { idleMs: 1000, minBytesPerSecond: 0 });
  const arrived = once(watched.resume(), 'data');
  source.write('x');
  await arrived;
  watched.destroy();
  source.write('rest');
  source.end();
  expect(source.isPaused()).toBe(true);
  expect(Buffer.concat(await source.toArray()).toString()).toBe('rest');
});
