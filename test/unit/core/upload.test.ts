import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  amend,
  canFollow,
  createUpload,
  isFinal,
  type JobKind,
  type NewUpload,
  type Now,
  STATES,
  STRATEGIES,
  transition,
  type Upload,
  type UploadChange,
  type UploadState,
} from '../../../src/core/upload.ts';

const NEW: NewUpload = {
  id: '01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99',
  tenant: 'acme',
  strategy: 'relay',
  filename: 'cat.jpg',
  contentType: 'image/jpeg',
  size: 48_211,
  sha256: null,
  resource: null,
  metadata: { colour: 'red' },
  trace: { requestId: 'request-1', traceparent: null },
};

/** A clock that goes on by one, and ids that count, so that every message has its own. */
function ticking(): () => Now {
  let now = 1_000;
  let ids = 0;
  return () => {
    now += 1;
    return { now, newId: () => `message-${++ids}` };
  };
}

/** What a repository does with a change. */
const applied = (upload: Upload, { set, emit }: UploadChange): Upload => ({
  ...upload,
  ...set,
  version: upload.version + 1,
  outbox: [...upload.outbox, ...emit],
});

const strategy = fc.constantFrom(...STRATEGIES);
const job = fc.constantFrom<(JobKind | undefined)[]>(undefined, 'relay', 'complete');
const step = fc.record({ pick: fc.nat(), job, leased: fc.boolean() });
const successors = (state: UploadState): UploadState[] => STATES.filter((to) => canFollow(state, to));

/** Walks along allowed transitions and shows each step. Ends early where nothing may follow. */
function walk(
  first: Upload,
  steps: { pick: number; job: JobKind | undefined; leased: boolean }[],
  tick: () => Now,
  look: (before: Upload, after: Upload, change: UploadChange, job: JobKind | undefined) => void,
): Upload {
  let upload = first;
  for (const { pick, job, leased } of steps) {
    const choices = successors(upload.state);
    const to = choices[pick % choices.length];
    if (to === undefined) break;
    const now = tick();
    const change = transition(upload, to, leased ? { lease: { token: 'worker', expiresAt: now.now + 10 } } : {}, now, job);
    const after = applied(upload, change);
    look(upload, after, change, job);
    upload = after;
  }
  return upload;
}

describe('a new upload', () => {
  test.each([
    ['direct', 'stored', ['event:upload.stored']],
    ['relay', 'queued', ['job:relay', 'event:upload.queued']],
    ['presign', 'pending', []],
  ] as const)('%s begins as %s with the messages %j', (by, state, messages) => {
    const upload = createUpload({ ...NEW, strategy: by }, ticking()());
    expect(upload).toMatchObject({ ...NEW, strategy: by, state, version: 1, attempts: 0, error: null, lease: null, createdAt: 1_001 });
    expect(upload.storedAt).toBe(state === 'stored' ? 1_001 : null);
    expect(upload.history).toEqual([{ state, at: 1_001 }]);
    expect(upload.outbox.map((message) => (message.kind === 'job' ? `job:${message.job}` : `event:${message.type}`))).toEqual(messages);
  });
});

describe('the state machine', () => {
  test('allows these transitions and no others', () => {
    const allowed: Record<UploadState, UploadState[]> = {
      pending: ['verifying', 'expired', 'deleted'],
      queued: ['relaying', 'failed', 'deleted'],
      relaying: ['queued', 'relaying', 'stored', 'failed', 'deleted'],
      verifying: ['pending', 'verifying', 'stored', 'failed', 'deleted'],
      stored: ['deleted'],
      failed: ['queued', 'deleted'],
      expired: ['deleted'],
      deleted: [],
    };
    for (const state of STATES) expect(successors(state)).toEqual(allowed[state]);
  });

  test('refuses every transition that it does not have', () => {
    const upload = createUpload(NEW, ticking()());
    for (const from of STATES) {
      for (const to of STATES.filter((state) => !canFollow(from, state))) {
        expect(() => transition({ ...upload, state: from }, to, {}, ticking()())).toThrow(RangeError);
      }
    }
  });

  test('raises the version by one with each change, and dates it', () => {
    fc.assert(
      fc.property(strategy, fc.array(step, { maxLength: 40 }), (by, steps) => {
        const tick = ticking();
        const first = createUpload({ ...NEW, strategy: by }, tick());
        walk(first, steps, tick, (before, after, change) => {
          expect(change).toMatchObject({ id: before.id, version: before.version });
          expect(after.updatedAt).toBe(before.updatedAt + 1);
          expect(after.history.at(-1)).toEqual({ state: after.state, at: after.updatedAt });
        });
      }),
    );
  });

  test('emits one event with each change but to pending, which shows the upload as the change leaves it', () => {
    fc.assert(
      fc.property(strategy, fc.array(step, { maxLength: 40 }), (by, steps) => {
        const tick = ticking();
        const last = walk(createUpload({ ...NEW, strategy: by }, tick()), steps, tick, (_, after, { emit }) => {
          const { outbox: __, resourceRevision, spool, staging, lease, fingerprint, trace, ...shown } = after;
          const expected = { kind: 'event', type: `upload.${after.state}`, at: after.updatedAt, upload: shown };
          const events = emit.filter(({ kind }) => kind === 'event');
          expect(events).toEqual(after.state === 'pending' ? [] : [{ ...expected, id: expect.any(String) }]);
        });
        const messageIds = last.outbox.map(({ id }) => id);
        expect(new Set(messageIds).size).toBe(messageIds.length);
      }),
    );
  });

  test('emits a job only where one is asked for', () => {
    fc.assert(
      fc.property(strategy, fc.array(step, { maxLength: 40 }), (by, steps) => {
        const tick = ticking();
        walk(createUpload({ ...NEW, strategy: by }, tick()), steps, tick, (_, __, { emit }, asked) => {
          expect(emit.flatMap((message) => (message.kind === 'job' ? [message.job] : []))).toEqual(asked ? [asked] : []);
        });
      }),
    );
  });

  test('knows when an upload was stored, exactly if it was', () => {
    fc.assert(
      fc.property(strategy, fc.array(step, { maxLength: 40 }), (by, steps) => {
        const tick = ticking();
        const first = createUpload({ ...NEW, strategy: by }, tick());
        let storedAt = first.state === 'stored' ? first.createdAt : null;
        walk(first, steps, tick, (_, after) => {
          if (after.state === 'stored') storedAt = after.updatedAt;
          expect(after.storedAt).toBe(storedAt);
        });
      }),
    );
  });

  test('takes the lease away with each change that does not bring one', () => {
    fc.assert(
      fc.property(strategy, fc.array(step, { maxLength: 40 }), (by, steps) => {
        const tick = ticking();
        walk(createUpload({ ...NEW, strategy: by }, tick()), steps, tick, (_, after, { set }) => {
          expect(after.lease).toEqual(set.lease ?? null);
        });
      }),
    );
  });

  test('leaves what the change does not name, and the record it was given', () => {
    fc.assert(
      fc.property(strategy, fc.array(step, { minLength: 1, maxLength: 40 }), (by, steps) => {
        const tick = ticking();
        const first = createUpload({ ...NEW, strategy: by }, tick());
        const copy = structuredClone(first);
        const last = walk(first, steps, tick, () => undefined);
        expect(first).toEqual(copy);
        expect(last).toMatchObject({
          id: NEW.id,
          tenant: NEW.tenant,
          metadata: NEW.metadata,
          trace: NEW.trace,
          createdAt: first.createdAt,
        });
      }),
    );
  });

  test('remembers the newest steps only, however often it is tried', () => {
    const tick = ticking();
    let upload = createUpload(NEW, tick());
    for (let i = 0; i < 200; i += 1) upload = applied(upload, transition(upload, i % 2 === 0 ? 'relaying' : 'queued', {}, tick()));
    expect(upload.history).toHaveLength(50);
    expect(upload.history.at(-1)).toEqual({ state: 'queued', at: upload.updatedAt });
    expect(upload.version).toBe(201);
  });

  test('rests in stored, failed, expired and deleted', () => {
    expect(STATES.filter(isFinal)).toEqual(['stored', 'failed', 'expired', 'deleted']);
  });
});

describe('an amendment', () => {
  test('changes its fields and the date, emits no event, and a job only where one is asked for', () => {
    fc.assert(
      fc.property(strategy, job, fc.nat(), (by, asked, attempts) => {
        const tick = ticking();
        const upload = createUpload({ ...NEW, strategy: by }, tick());
        const change = amend(upload, { attempts }, tick(), asked);
        expect(applied(upload, change)).toMatchObject({
          attempts,
          state: upload.state,
          history: upload.history,
          version: 2,
          updatedAt: upload.updatedAt + 1,
        });
        expect(change.emit).toEqual(asked ? [{ id: expect.any(String), kind: 'job', job: asked, at: upload.updatedAt + 1 }] : []);
      }),
    );
  });
});
