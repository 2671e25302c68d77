import { expect, test } from '@jest/globals';
import type { Upload } from '../../src/core/upload.ts';
import { WindlassError } from '../../src/errors.ts';
import { whileLeased } from '../../src/leased.ts';
import { uploadRecord } from '../support/upload-record.ts';

const away = new WindlassError('repository_unavailable', 'The database did not answer in time.');

/** The lease of a second is over; renewing it ends as `renewLease` says. */
const leased = (renewLease: () => Promise<boolean>, work: (signal: AbortSignal) => Promise<unknown>): Promise<unknown> => {
  const upload: Upload = { ...uploadRecord(), lease: { token: 'ours', expiresAt: 0 } };
  const parts = { uploads: { renewLease }, clock: () => 1, config: { LEASE_SECONDS: 1 } };
  return whileLeased(parts as unknown as Parameters<typeof whileLeased>[0], upload, work);
};

/** Work that says no more than that it was called off, as reading from a store does. */
const calledOff = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new DOMException('called off', 'AbortError'))));

test('work that is called off because the records are away fails for that', async () => {
  await expect(leased(() => Promise.reject(away), calledOff)).rejects.toBe(away);
});

test('work that is called off because somebody else has the lease fails as it does', async () => {
  await expect(leased(async () => false, calledOff)).rejects.toMatchObject({ name: 'AbortError' });
});

test('work that fails while the lease holds fails as it does', async () => {
  const failure = new Error('of its own');
  await expect(
    leased(
      async () => true,
      () => Promise.reject(failure),
    ),
  ).rejects.toBe(failure);
});
