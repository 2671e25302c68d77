import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { diskKeyOf, keyOf } from '../../src/core/keys.ts';
import { WindlassError } from '../../src/errors.ts';
import { handOver } from '../../src/hand-over.ts';
import { eventually } from '../support/eventually.ts';
import { acceptRelay, openTestPlatform, type TestPlatform, writeFileTo } from '../support/platform.ts';

const BYTES = Buffer.from('spooled');
const LONG = 60_000;
let bench: TestPlatform;
beforeEach(async () => {
  bench = await openTestPlatform();
});
afterEach(() => bench.close());

test('an empty spool is not waited for', async () => {
  expect(await handOver(bench.platform, { ms: LONG })).toBe(0);
});

test('what nobody will fetch is not waited for: failed uploads, and bytes without a record', async () => {
  await bench.ledger.transition(await acceptRelay(bench, BYTES), 'failed');
  await writeFileTo(bench.platform.spool, diskKeyOf('spool', 'acme', bench.platform.newId()), BYTES);
  expect(await handOver(bench.platform, { ms: LONG })).toBe(0);
});

test('it waits until the last upload is stored, whoever stores it', async () => {
  const uploads = [await acceptRelay(bench, BYTES), await acceptRelay(bench, BYTES)];
  let over = false;
  const waiting = handOver(bench.platform, { ms: LONG, intervalMs: 5 }).then((left) => {
    over = true;
    return left;
  });
  for (const upload of uploads) {
    expect(over).toBe(false);
    const lease = { token: 'worker', expiresAt: Date.now() + LONG };
    const relaying = await bench.ledger.transition(upload, 'relaying', { lease });
    const location = { store: 'disk' as const, bucket: null, key: keyOf('files', 'acme', upload.id), node: null };
    await bench.ledger.transition(relaying ?? upload, 'stored', { location });
  }
  expect(await waiting).toBe(0);
});

test('when its time is over it tells how many are left', async () => {
  await acceptRelay(bench, BYTES);
  await acceptRelay(bench, BYTES);
  expect(await handOver(bench.platform, { ms: 20, intervalMs: 5 })).toBe(2);
});

test('a database that does not answer is asked again', async () => {
  await acceptRelay(bench, BYTES);
  const { uploads } = bench.platform;
  let away = true;
  const flaky = Object.create(uploads, {
    findMany: {
      value: async () => {
        if (away) throw new WindlassError('repository_unavailable', 'away');
        return [];
      },
    },
  });
  const waiting = handOver({ ...bench.platform, uploads: flaky }, { ms: LONG, intervalMs: 5 });
  await eventually(() => {
    away = false;
  });
  expect(await waiting).toBe(0);
});
