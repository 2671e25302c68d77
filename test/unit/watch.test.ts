import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Upload, UploadView } from '../../src/core/upload.ts';
import { waitUntilFinal, watchUpload } from '../../src/watch.ts';
import { acceptDirect, acceptRelay, openTestPlatform, type TestPlatform } from '../support/platform.ts';

const BYTES = Buffer.from('some bytes');
let bench: TestPlatform;
beforeEach(async () => {
  bench = await openTestPlatform();
});
afterEach(() => bench.close());

const tell = async ({ outbox: _, ...upload }: Upload): Promise<void> =>
  bench.platform.events.publish({ id: bench.platform.newId(), type: `upload.${upload.state}`, at: 0, upload });
const lease = { token: 'a', expiresAt: Date.now() + 60_000 };
const relaying = async (upload: Upload) => (await bench.ledger.transition(upload, 'relaying', { lease })) as Upload;
const failed = async (upload: Upload) => (await bench.ledger.transition(upload, 'failed')) as Upload;
const labels = (seen: UploadView[]) => seen.map(({ version, state }) => `${version} ${state}`);
/** Longer than any of these tests may take. */
const NEVER = 20_000;

test('tells the state as it is, then each change, and ends with the final one', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const watch = watchUpload(bench.platform, upload.id, { pollMs: NEVER });
  const seen = [(await watch.next()).value as UploadView];
  const next = watch.next();
  const second = await relaying(upload);
  await tell(second);
  seen.push((await next).value as UploadView);
  await tell(await failed(second));
  for await (const change of watch) seen.push(change);
  expect(labels(seen)).toEqual(['1 queued', '2 relaying', '3 failed']);
  expect(seen[0]).not.toHaveProperty('outbox');
});

test('events that are doubled, of other uploads or older than what is known are not told', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const other = await acceptDirect(bench, BYTES);
  const second = await relaying(upload);
  const watch = watchUpload(bench.platform, upload.id, { afterVersion: 1, pollMs: NEVER });
  expect((await watch.next()).value?.version).toBe(2);
  const next = watch.next();
  for (const event of [other, upload, second, second]) await tell(event);
  await tell(await failed(second));
  expect((await next).value?.version).toBe(3);
  expect((await watch.next()).done).toBe(true);
});

test('a change that no event told of is only seen later', async () => {
  const upload = await acceptRelay(bench, BYTES);
  const watch = watchUpload(bench.platform, upload.id, { pollMs: 20 });
  await watch.next();
  await failed(await relaying(upload));
  expect((await watch.next()).value).toMatchObject({ version: 3, state: 'failed' });
});

test('who knows the final state already is told nothing', async () => {
  const { id } = await acceptDirect(bench, BYTES);
  expect((await watchUpload(bench.platform, id, { afterVersion: 1 }).next()).done).toBe(true);
  expect((await watchUpload(bench.platform, id, { afterVersion: 99 }).next()).done).toBe(true);
  expect((await watchUpload(bench.platform, bench.platform.newId()).next()).done).toBe(true);
});

test('waiting ends with the final state, when the time is over, or when the waiter goes', async () => {
  const upload = await acceptRelay(bench, BYTES);
  expect(await waitUntilFinal(bench.platform, upload.id, { ms: 1 })).toMatchObject({ state: 'queued' });
  const gone = new AbortController();
  const left = waitUntilFinal(bench.platform, upload.id, { ms: NEVER, signal: gone.signal });
  const waited = waitUntilFinal(bench.platform, upload.id, { ms: NEVER });
  gone.abort();
  expect(await left).toMatchObject({ state: 'queued' });
  const end = await failed(await relaying(upload));
  await tell(end);
  expect(await waited).toMatchObject({ state: 'failed', version: 3 });
  expect(await waitUntilFinal(bench.platform, bench.platform.newId(), { ms: NEVER })).toBeNull();
});

test('one listener that throws keeps no event from the others', async () => {
  const heard: string[] = [];
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const leave = bench.platform.events.subscribe(() => {
    throw new Error('a broken listener');
  });
  bench.platform.events.subscribe(({ upload }) => heard.push(upload.id));
  const upload = await acceptDirect(bench, BYTES);
  await tell(upload);
  leave();
  await tell(upload);
  expect(heard).toEqual([upload.id, upload.id]);
  process.off('warning', onWarning);
});
