import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import { fingerprintOf, type OnceCall, parseIdempotencyKey, runOnce, sameRequest } from '../../../src/http/idempotency.ts';
import { newUpload, openTestPlatform, type TestPlatform } from '../../support/platform.ts';

const code = (name: string) => expect.objectContaining({ code: name });

describe('the header', () => {
  test.each([
    [undefined, null],
    ['abc', 'abc'],
    ['"abc"', 'abc'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['x'.repeat(255), 'x'.repeat(255)],
  ])('%j is the key %j', (header, key) => {
    expect(parseIdempotencyKey(header)).toBe(key);
  });

  test.each(['', '""', 'a b', 'a, b', '"abc', '"a"b"', 'x'.repeat(256), 'caf\u00e9', 'a\tb', '"\\n"'])('%j is refused', (header) => {
    expect(() => parseIdempotencyKey(header)).toThrow(code('invalid_request'));
  });
});

test('a fingerprint depends on what is asked for, not on the order in which it is said', () => {
  const one = fingerprintOf({ tenant: 'a', metadata: { x: '1', y: '2' }, resource: null });
  expect(fingerprintOf({ resource: null, metadata: { y: '2', x: '1' }, tenant: 'a', sha256: undefined })).toBe(one);
  expect(fingerprintOf({ tenant: 'a', metadata: { x: '1', y: '3' }, resource: null })).not.toBe(one);
  expect(fingerprintOf({ list: [['x', 1]] })).not.toBe(fingerprintOf({ list: { x: 1 } }));
});

describe('once', () => {
  let test_: TestPlatform;
  let now = 0;
  beforeEach(async () => {
    test_ = await openTestPlatform({ LEASE_SECONDS: '30' });
    now = Date.now();
  });
  afterEach(() => test_.close());

  const deps = () => ({ ...test_.platform, clock: () => now });
  const call = (key: string | null = 'key', tenant = 'acme'): OnceCall => ({ tenant, key, newId: test_.platform.newId });
  const create = (id: string, fingerprint = 'f', tenant = 'acme'): Promise<Upload> =>
    test_.ledger.create(newUpload(test_.platform, Buffer.from('x'), { id, fingerprint, tenant }));
  const run = (fingerprint: string) => (id: string, replay: Upload | null) =>
    replay ? Promise.resolve(sameRequest(replay, fingerprint)) : create(id, fingerprint);

  test('the same key and request gives the same upload, another request is refused, and keeps being so', async () => {
    const first = await runOnce(deps(), call(), run('f'));
    expect((await runOnce(deps(), call(), run('f'))).id).toBe(first.id);
    await expect(runOnce(deps(), call(), run('g'))).rejects.toEqual(code('idempotency_key_reused'));
    now += 3600_000;
    expect((await runOnce(deps(), call(), run('f'))).id).toBe(first.id);
    await expect(runOnce(deps(), call(), run('g'))).rejects.toEqual(code('idempotency_key_reused'));
    expect((await runOnce(deps(), call(), run('f'))).id).toBe(first.id);
  });

  test('after 24 hours the key is forgotten', async () => {
    const first = await runOnce(deps(), call(), run('f'));
    now += 25 * 3600_000;
    expect((await runOnce(deps(), call(), run('f'))).id).not.toBe(first.id);
  });

  test('keys of another tenant are others, and no key means once each time', async () => {
    const first = await runOnce(deps(), call(), run('f'));
    const other = await runOnce(deps(), call('key', 'other'), (id) => create(id, 'f', 'other'));
    const [a, b] = [await runOnce(deps(), call(null), run('f')), await runOnce(deps(), call(null), run('f'))];
    expect(new Set([first.id, other.id, a.id, b.id]).size).toBe(4);
  });

  test('while it runs, a second one is told to wait', async () => {
    const { promise: gate, resolve: release } = Promise.withResolvers<void>();
    const first = runOnce(deps(), call(), async (id) => {
      await gate;
      return create(id);
    });
    const second = await runOnce(deps(), call(), run('f')).catch((error: WindlassError) => error);
    expect(second).toMatchObject({ code: 'idempotency_in_progress', retryAfter: expect.any(Number) });
    release();
    const { id } = await first;
    expect((await runOnce(deps(), call(), run('f'))).id).toBe(id);
  });

  test('of many at once, one creates', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => runOnce(deps(), call(), run('f'))));
    const ids = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.id] : []));
    expect(new Set(ids).size).toBe(1);
    expect(await test_.platform.uploads.list({ tenant: 'acme', limit: 20 })).toHaveLength(1);
  });

  test('a failure frees the key at once', async () => {
    await expect(runOnce(deps(), call(), () => Promise.reject(new WindlassError('too_large', 'no')))).rejects.toEqual(code('too_large'));
    await expect(runOnce(deps(), call(), run('g'))).resolves.toMatchObject({ state: 'queued' });
  });

  test('a failure whose outcome is unknown does not: the upload that was recorded after all is found', async () => {
    let id = '';
    const timeout = (uploadId: string) => {
      id = uploadId;
      return create(uploadId).then(() => Promise.reject(new WindlassError('repository_unavailable', 'timeout')));
    };
    await expect(runOnce(deps(), call(), timeout)).rejects.toEqual(code('repository_unavailable'));
    expect((await runOnce(deps(), call(), run('f'))).id).toBe(id);
  });

  test('a crash frees it when the lease ends; the id stays, so that there cannot be two uploads', async () => {
    const claim = {
      tenant: 'acme',
      key: 'key',
      uploadId: test_.platform.newId(),
      holder: 'crashed',
      leaseUntil: now + 30_000,
      expiresAt: now + 86_400_000,
    };
    await test_.platform.idempotency.claim(claim, now);
    await expect(runOnce(deps(), call(), run('f'))).rejects.toEqual(code('idempotency_in_progress'));
    now += 30_001;
    expect((await runOnce(deps(), call(), run('f'))).id).toBe(claim.uploadId);
  });

  test('a request that lost its key is told so, and does not take it from the next', async () => {
    const { platform } = test_;
    const idempotency = {
      claim: platform.idempotency.claim.bind(platform.idempotency),
      renew: async () => false,
      release: async () => Promise.reject(new Error('not ours')),
    };
    const config = { ...platform.config, LEASE_SECONDS: 0.03 };
    const lost = runOnce({ ...deps(), idempotency: idempotency as never, config }, call(), (_id, _replay, signal) => {
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    await expect(lost).rejects.toEqual(code('idempotency_in_progress'));
  });
});
