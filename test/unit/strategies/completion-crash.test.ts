import { Readable } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import { sha256 } from '../../support/platform.ts';
import { failure, openPresignRig, outage, type PresignRig } from '../../support/presign-rig.ts';

const HELLO = Buffer.from('hello');
const RESOURCE = { type: 'post', id: '1' };
let rig: PresignRig;

const open = async (settings = {}): Promise<PresignRig> => {
  rig = await openPresignRig({ COMPLETE_WAIT_SECONDS: '20', RETRY_BASE_SECONDS: '1', RETRY_MAX_SECONDS: '8', ...settings });
  return rig;
};
afterEach(() => rig.close());

const STEPS = [
  ['store', 'head'],
  ['store', 'freeze'],
  ['store', 'read'],
  ['resourceRecords', 'touch'],
  ['uploads', 'apply'],
] as const;

describe.each(['before', 'after'] as const)('a process that dies %s a step', (moment) => {
  test.each(STEPS)('%s.%s loses nothing: a job, or the next completion, ends what it began', async (port, method) => {
    for (const successor of ['job', 'complete'] as const) {
      await open();
      const upload = await rig.uploaded(HELLO, { resource: RESOURCE });
      const died = new Promise<void>((resolve) => {
        rig[port].on(method as never, async (next) => {
          const result = moment === 'after' ? await next() : null;
          if (result instanceof Readable) result.destroy();
          resolve();
          return rig.death();
        });
      });
      void rig.completion.complete(upload).catch(() => undefined);
      await died;
      rig[port].on(method as never, (next) => next());
      rig.uploads.on('renewLease', async () => false);
      rig.pass(6000);

      const other = rig.replica();
      if (successor === 'job' && (await rig.find(upload.id)).state === 'verifying')
        expect(await other.completion.runJob(rig.job(upload), rig.delivery())).toEqual({ outcome: 'done' });
      const stored = await other.completion.complete(await rig.find(upload.id));
      expect(stored).toMatchObject({ state: 'stored', sha256: sha256(HELLO), resource: RESOURCE });
      expect(await rig.content(upload, 'files')).toBe('hello');
      await other.completion.drain();
      if (successor === 'job') await rig.close();
    }
  });
});

test('whoever lost the lease cannot commit, and reports what the winner made', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  let goOn = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    const stop = rig.store.on('freeze', async (next) => {
      stop();
      resolve();
      await new Promise<void>((later) => {
        goOn = later;
      });
      return next();
    });
  });
  const slow = rig.completion.complete(upload);
  await reached;
  rig.pass(6000);
  const other = rig.replica();
  const quick = await other.completion.complete(await rig.find(upload.id));
  goOn();
  expect(await slow).toEqual(await rig.find(upload.id));
  expect((await slow).version).toBe(quick.version);
  await other.completion.drain();
  expect(await rig.content(upload, 'files')).toBe('hello');
});

test('whoever lost the lease cannot commit while the winner still works either', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const held: (() => void)[] = [];
  rig.store.on('read', (next) => new Promise<void>((resolve) => held.push(resolve)).then(next));
  const slow = rig.completion.complete(upload);
  while (held.length < 1) await new Promise(setImmediate);
  rig.pass(6000);
  const other = rig.replica();
  const winner = other.completion.complete(await rig.find(upload.id));
  while (held.length < 2) await new Promise(setImmediate);
  const { lease } = await rig.find(upload.id);
  held[0]?.();
  await rig.completion.drain();
  expect(await rig.find(upload.id)).toMatchObject({ state: 'verifying', lease: { token: lease?.token } });
  held[1]?.();
  const stored = await winner;
  expect(stored.state).toBe('stored');
  expect((await slow).version).toBe(stored.version);
  await other.completion.drain();
});

test.each([
  ['gone', null],
  ['replaced by the client', Buffer.from('something longer')],
])('once moved, the object is what counts: what is staged may be %s', async (_, late) => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const moved = new Promise<void>((resolve) => {
    rig.store.on('freeze', async (next) => {
      await next();
      resolve();
      return rig.death();
    });
  });
  void rig.completion.complete(upload).catch(() => undefined);
  await moved;
  const key = upload.staging?.key ?? '';
  await (late ? rig.stage(key, late) : rig.platform.store.remove(key));
  rig.store.on('freeze', (next) => next());
  rig.uploads.on('renewLease', async () => false);
  rig.pass(6000);
  const other = rig.replica();
  expect(await other.completion.runJob(rig.job(upload), rig.delivery())).toEqual({ outcome: 'done' });
  expect(await rig.find(upload.id)).toMatchObject({ state: 'stored', sha256: sha256(HELLO) });
  await other.completion.drain();
});

test('a rejection by whoever lost the lease discards nothing', async () => {
  await open();
  const upload = await rig.announce(5);
  await rig.stage(upload.staging?.key ?? '', Buffer.from('too long'));
  let taken = false;
  rig.uploads.on('apply', async (next, [change]) => {
    const { state } = (change as { set: { state?: string } }).set;
    if (state !== 'failed' || taken) return next();
    taken = true;
    // Just before, somebody took the lease over and found what the client has sent again by now.
    rig.pass(6000);
    await rig.stage(upload.staging?.key ?? '', HELLO);
    await rig.replica().completion.complete(await rig.find(upload.id));
    return next();
  });
  expect(await rig.completion.complete(upload)).toMatchObject({ state: 'stored', sha256: sha256(HELLO) });
  expect(await rig.content(upload, 'files')).toBe('hello');
});

test('an upload deleted while it is verified stays deleted, and leaves no object', async () => {
  await open();
  const upload = await rig.uploaded(HELLO);
  const stop = rig.store.on('freeze', async (next) => {
    stop();
    const frozen = await next();
    const current = await rig.find(upload.id);
    await rig.ledger.transition(current, 'deleted');
    return frozen;
  });
  expect(await failure(rig.completion.complete(upload))).toMatchObject({ code: 'not_found' });
  expect(await rig.content(upload, 'files')).toBeNull();
});

test('an upload linked elsewhere while it is verified is stored all the same', async () => {
  await open();
  const upload = await rig.uploaded(HELLO, { resource: RESOURCE });
  const stop = rig.store.on('freeze', async (next) => {
    stop();
    await rig.ledger.amend(await rig.find(upload.id), { resource: { type: 'post', id: '2' }, resourceRevision: 7 });
    return next();
  });
  expect(await rig.completion.complete(upload)).toMatchObject({
    state: 'stored',
    resource: { type: 'post', id: '2' },
    resourceRevision: 7,
  });
});

describe('an outage of the store', () => {
  test.each(['head', 'freeze', 'read'] as const)('at %s is 503, and the next completion goes on', async (method) => {
    await open();
    const upload = await rig.uploaded(HELLO);
    const stop = rig.store.on(method, () => Promise.reject(outage()));
    const error = await failure(rig.completion.complete(upload));
    expect(error).toMatchObject({ code: 'store_unavailable', status: 503, retryAfter: expect.any(Number) });
    expect(await rig.find(upload.id)).toMatchObject({ state: 'pending', lease: null });
    stop();
    expect(await rig.completion.complete(await rig.find(upload.id))).toMatchObject({ state: 'stored' });
  });

  test('when tidying up is nobody else’s business', async () => {
    await open();
    const upload = await rig.uploaded(HELLO);
    rig.store.on('remove', () => Promise.reject(outage()));
    expect(await rig.completion.complete(upload)).toMatchObject({ state: 'stored' });
  });

  test('that cuts the transfer off is the store’s, whatever the error', async () => {
    await open();
    const upload = await rig.uploaded(HELLO);
    rig.store.on('read', async () => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    });
    expect(await failure(rig.completion.complete(upload))).toMatchObject({ code: 'store_unavailable' });
  });

  test('after the client was told to wait leaves a job that goes on', async () => {
    await open({ COMPLETE_WAIT_SECONDS: '0' });
    const upload = await rig.uploaded(HELLO);
    let fail = (): void => undefined;
    const stop = rig.store.on(
      'freeze',
      () =>
        new Promise((_, reject) => {
          fail = () => reject(outage());
        }),
    );
    expect((await rig.completion.complete(upload)).state).toBe('verifying');
    fail();
    stop();
    await rig.completion.drain();
    const waiting = await rig.find(upload.id);
    expect(waiting).toMatchObject({ state: 'verifying', lease: null });
    expect(waiting.outbox.filter(({ kind }) => kind === 'job')).toMatchObject([{ job: 'complete' }]);
    expect(await rig.completion.runJob(rig.job(upload), rig.delivery())).toEqual({ outcome: 'done' });
    expect((await rig.find(upload.id)).state).toBe('stored');
  });
});

describe('a job', () => {
  const verifying = async (): Promise<Awaited<ReturnType<PresignRig['find']>>> => {
    const upload = await rig.uploaded(HELLO);
    const claimed = await rig.ledger.transition(upload, 'verifying', {}, 'complete');
    if (!claimed) throw new Error('not claimed');
    return claimed;
  };

  test('comes again with longer and longer pauses while the store is away, and is given up in the end', async () => {
    await open({ JOB_ATTEMPTS: '3' });
    const upload = await verifying();
    rig.store.on('head', () => Promise.reject(outage()));
    const settlements = [];
    for (let i = 0; i < 3; i += 1) settlements.push(await rig.completion.runJob(rig.job(upload), rig.delivery()));
    expect(settlements).toEqual([
      { outcome: 'retry', delayMs: 1000 },
      { outcome: 'retry', delayMs: 2000 },
      { outcome: 'dead', reason: 'store_unavailable' },
    ]);
    const failed = await rig.find(upload.id);
    expect(failed).toMatchObject({ state: 'failed', attempts: 3, error: { code: 'store_unavailable' } });
    expect(await failure(rig.completion.complete(failed))).toMatchObject({ code: 'invalid_state', extras: { actual: 'failed' } });
    expect(await rig.content(upload, 'staging')).toBe('hello');
  });

  test('that took its worker down each time is given up', async () => {
    await open({ JOB_ATTEMPTS: '2' });
    const upload = await verifying();
    await rig.ledger.amend(upload, { attempts: 2 });
    expect(await rig.completion.runJob(rig.job(upload), rig.delivery())).toMatchObject({ outcome: 'dead' });
  });

  test('waits for a lease that somebody else holds, without counting', async () => {
    await open();
    const upload = await verifying();
    await rig.ledger.amend(upload, { lease: { token: 'other', expiresAt: rig.platform.clock() + 4000 } });
    const settlement = await rig.completion.runJob(rig.job(upload), rig.delivery());
    expect(settlement).toMatchObject({ outcome: 'retry' });
    expect(settlement.outcome === 'retry' && settlement.delayMs).toBeLessThanOrEqual(4100);
    expect((await rig.find(upload.id)).attempts).toBe(upload.attempts);
  });

  test('cut off by the end of its worker gives the lease back, and the try does not count', async () => {
    await open();
    const upload = await verifying();
    const stopping = new AbortController();
    rig.store.on('read', async (next) => {
      stopping.abort(new Error('the worker is being stopped'));
      return next();
    });
    expect(await rig.completion.runJob(rig.job(upload), { signal: stopping.signal })).toEqual({ outcome: 'retry', delayMs: 0 });
    expect(await rig.find(upload.id)).toMatchObject({ state: 'verifying', lease: null, attempts: 0 });
  });

  test('for an upload that is stored, deleted or unknown is done', async () => {
    await open();
    const upload = await verifying();
    await rig.completion.runJob(rig.job(upload), rig.delivery());
    expect(await rig.completion.runJob(rig.job(upload), rig.delivery())).toEqual({ outcome: 'done' });
    expect(await rig.completion.runJob({ ...rig.job(upload), uploadId: rig.platform.newId() }, rig.delivery())).toEqual({
      outcome: 'done',
    });
  });

  test('for an object that has vanished gives the upload back to the client', async () => {
    await open();
    const upload = await verifying();
    await rig.platform.store.remove(upload.staging?.key ?? '');
    expect(await rig.completion.runJob(rig.job(upload), rig.delivery())).toEqual({ outcome: 'done' });
    expect((await rig.find(upload.id)).state).toBe('pending');
  });
});
