import { PassThrough } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { asReadable, SimpleSource } from '../../src/byte-source.ts';
import { watchProgress } from '../../src/progress.ts';

const LIMITS = { idleMs: 60_000, minBytesPerSecond: 0 };

/** Tells what the test says, whether it is paused or not. */
class ToldSource extends SimpleSource {
  override pause = (): this => this;
  override resume = (): this => this;
  protected override release(): void {}
  finish = (): void => this.end();
}

const settle = (): Promise<void> => new Promise(setImmediate);

describe('a source as a stream', () => {
  test('begins with what was read before', async () => {
    const source = new PassThrough();
    const stream = asReadable(watchProgress(source, LIMITS), Buffer.from('first, '));
    source.end('rest');
    expect(Buffer.concat(await stream.toArray()).toString()).toBe('first, rest');
  });

  test('that has ended before gives no more than that', async () => {
    const source = new PassThrough();
    const body = watchProgress(source, LIMITS).resume();
    source.end();
    await settle();
    expect(body.readableEnded).toBe(true);
    expect(await asReadable(body).toArray()).toEqual([]);
    expect(Buffer.concat(await asReadable(body, Buffer.from('first')).toArray()).toString()).toBe('first');
  });

  test('that broke off, before or meanwhile, fails with the same', async () => {
    const source = new PassThrough();
    const body = watchProgress(source, LIMITS);
    const reading = asReadable(body).toArray();
    source.destroy(new Error('reset'));
    await expect(reading).rejects.toMatchObject({ code: 'aborted' });
    await expect(asReadable(body, Buffer.from('first')).toArray()).rejects.toBe(body.errored);
  });

  test('takes no more than it is read: the source waits', async () => {
    const source = new PassThrough();
    const stream = asReadable(watchProgress(source, LIMITS));
    stream.read(0);
    let sent = 0;
    for (; sent < 100 && source.write(Buffer.alloc(64 * 1024)); sent += 1) await settle();
    expect(sent).toBeGreaterThan(2);
    expect(sent).toBeLessThan(6);
    source.end();
    expect(Buffer.concat(await stream.toArray())).toHaveLength((sent + 1) * 64 * 1024);
  });

  test('gives the chunks as they came, however many have gathered: whoever read one last can free it', async () => {
    const source = new ToldSource();
    const stream = asReadable(source);
    stream.read(0);
    const chunks = [Buffer.alloc(70_000, 'a'), Buffer.alloc(70_000, 'b'), Buffer.alloc(70_000, 'c')];
    for (const chunk of chunks) source.emit('data', chunk);
    source.finish();
    const read = await stream.toArray();
    expect(read).toHaveLength(3);
    for (const [at, chunk] of read.entries()) expect(chunk).toBe(chunks[at]);
  });

  test('that is given up leaves the body to be drained', async () => {
    const source = new PassThrough();
    source.write('x');
    const stream = asReadable(watchProgress(source, LIMITS));
    for await (const chunk of stream) {
      expect(String(chunk)).toBe('x');
      break;
    }
    source.end('rest');
    expect(source.isPaused()).toBe(true);
    expect(Buffer.concat(await source.toArray()).toString()).toBe('rest');
  });
});
