/** An upload as the platform records it, and the one state machine that all strategies share. Pure: no I/O, no clock. */

export const STRATEGIES = ['direct', 'relay', 'presign'] as const;
export type Strategy = (typeof STRATEGIES)[number];

export const STATES = ['pending', 'queued', 'relaying', 'verifying', 'stored', 'failed', 'expired', 'deleted'] as const;
export type UploadState = (typeof STATES)[number];

/** Which states may follow which. A state that follows itself is a lease taken over. */
const NEXT: Readonly<Record<UploadState, readonly UploadState[]>> = {
  pending: ['verifying', 'expired', 'deleted'],
  queued: ['relaying', 'failed', 'deleted'],
  relaying: ['relaying', 'queued', 'stored', 'failed', 'deleted'],
  verifying: ['verifying', 'pending', 'stored', 'failed', 'deleted'],
  stored: ['deleted'],
  failed: ['queued', 'deleted'],
  expired: ['deleted'],
  deleted: [],
};

/** The states in which an upload comes to rest: waits and event streams end there. */
const FINAL_STATES = ['stored', 'failed', 'expired', 'deleted'] as const satisfies UploadState[];

export const isFinal = (state: UploadState): boolean => (FINAL_STATES as readonly UploadState[]).includes(state);
export const canFollow = (from: UploadState, to: UploadState): boolean => NEXT[from].includes(to);

export interface ResourceRef {
  type: string;
  id: string;
}

/** Where the bytes of a stored upload are. */
export interface Location {
  store: 'disk' | 's3';
  /** Null for the server's own disk. */
  bucket: string | null;
  key: string;
  /** Which server's disk; null for an object store. */
  node: string | null;
}

/** A copy of the bytes that is being made on another server: theirs as soon as the record says so, and until then nobody's but its. */
export interface Move {
  node: string;
  key: string;
}

/**
 * The copy of a direct file in the object store: asked for since `since` (epoch ms) and tried so often; there under its key
 * since `at`; or given up. Only what is asked for has a `since`: an index over it holds nothing else.
 */
export type Backup =
  | { state: 'due'; since: number; attempts: number; error: UploadError | null }
  | { state: 'made'; store: 'disk' | 's3'; bucket: string | null; key: string; at: number }
  | { state: 'failed'; attempts: number; error: UploadError; at: number };

/** Accepted bytes that wait for the relay: on which server's spool and under which key. */
interface Spooled {
  node: string;
  key: string;
}

/** What a presigned upload leaves in the part of the store that clients can write. */
export interface Staging {
  key: string;
  method: 'PUT' | 'POST' | 'multipart';
  /** Id that the store gave to the multipart upload; null for a single request. */
  multipartId: string | null;
  /** Bytes of every part but the last; null for a single request. */
  partSize: number | null;
  partCount: number | null;
  /** When the last link that was signed runs out: until then a client can still write there. Epoch ms. */
  linkExpiresAt: number;
}

/** Who works on the upload right now. Taking a lease raises the record's version, so whoever lost it cannot commit. */
export interface Lease {
  token: string;
  /** Epoch ms. */
  expiresAt: number;
}

export interface UploadError {
  code: string;
  detail: string;
}

/** What the request that made the upload is known by, carried through the queue. */
export interface Trace {
  requestId: string;
  /** W3C traceparent, if the client sent one. */
  traceparent: string | null;
}

export type JobKind = 'relay' | 'complete' | 'backup';

/** A message that a change of state leaves behind, to be published by the dispatcher and then taken out. */
export type OutboxMessage =
  | { id: string; kind: 'job'; job: JobKind; at: number }
  | { id: string; kind: 'event'; type: `upload.${UploadState}`; at: number; upload: UploadView };

/** Everything about an upload except its undelivered messages. All times are epoch ms. */
export interface UploadSnapshot {
  /** UUIDv7. */
  id: string;
  tenant: string;
  strategy: Strategy;
  state: UploadState;
  /** Raised by one with each change; the ETag and the id of the event come from it. */
  version: number;
  filename: string;
  contentType: string;
  /** Bytes. */
  size: number;
  /** Lower-case hex, null while unknown. */
  sha256: string | null;
  location: Location | null;
  resource: ResourceRef | null;
  /** Revision of the resource that last linked or unlinked this upload; an older intent changes nothing. */
  resourceRevision: number;
  metadata: Record<string, string>;
  error: UploadError | null;
  /** How often a worker has begun to relay or to verify it. */
  attempts: number;
  createdAt: number;
  updatedAt: number;
  storedAt: number | null;
  /** When a pending upload lapses; null where nothing can lapse. */
  expiresAt: number | null;
  history: { state: UploadState; at: number }[];
  spool: Spooled | null;
  staging: Staging | null;
  lease: Lease | null;
  /** Absent or null while nothing is moved. */
  move?: Move | null;
  /** Absent or null where none was ever asked for. It is no state of the upload, and clients are not told of it. */
  backup?: Backup | null;
  /** SHA-256 of the request that made it, when that carried an Idempotency-Key. */
  fingerprint: string | null;
  trace: Trace;
}

/** What others may be told of an upload: all but how the platform works on it. */
export type UploadView = Omit<
  UploadSnapshot,
  'resourceRevision' | 'spool' | 'staging' | 'lease' | 'move' | 'backup' | 'fingerprint' | 'trace'
>;

export function viewOf(upload: UploadSnapshot): UploadView {
  const { id, tenant, strategy, state, version, filename, contentType, size, sha256, location, resource, metadata } = upload;
  const { error, attempts, createdAt, updatedAt, storedAt, expiresAt, history } = upload;
  const facts = { id, tenant, strategy, state, version, filename, contentType, size, sha256, location, resource, metadata };
  return { ...facts, error, attempts, createdAt, updatedAt, storedAt, expiresAt, history };
}

export interface Upload extends UploadSnapshot {
  outbox: OutboxMessage[];
}

/** The fields that may change after creation. */
export type UploadFields = Partial<
  Pick<
    UploadSnapshot,
    | 'size'
    | 'sha256'
    | 'location'
    | 'resource'
    | 'resourceRevision'
    | 'error'
    | 'attempts'
    | 'storedAt'
    | 'expiresAt'
    | 'spool'
    | 'staging'
    | 'lease'
    | 'move'
    | 'backup'
  >
>;

/** A change to one record: carried out only if the record still has `version`, and then raises it by one. */
export interface UploadChange {
  id: string;
  version: number;
  set: UploadFields & { updatedAt: number; state?: UploadState; history?: UploadSnapshot['history'] };
  /** Messages appended to the outbox in the same write. */
  emit: OutboxMessage[];
}

/** Injected clock (epoch ms) and source of ids (UUIDv7), so that core code is pure and tests need no sleeps. */
export interface Now {
  now: number;
  newId: () => string;
}

export interface NewUpload
  extends Pick<
      UploadSnapshot,
      'id' | 'tenant' | 'strategy' | 'filename' | 'contentType' | 'size' | 'sha256' | 'resource' | 'metadata' | 'trace'
    >,
    Partial<Pick<UploadSnapshot, 'location' | 'spool' | 'staging' | 'expiresAt' | 'resourceRevision' | 'fingerprint' | 'backup'>> {}

const FIRST_STATE: Readonly<Record<Strategy, UploadState>> = { direct: 'stored', relay: 'queued', presign: 'pending' };

/** A new record in the first state of its strategy, with the messages that this state calls for. */
export function createUpload(fields: NewUpload, { now, newId }: Now): Upload {
  const state = FIRST_STATE[fields.strategy];
  const snapshot: UploadSnapshot = {
    location: null,
    spool: null,
    staging: null,
    expiresAt: null,
    resourceRevision: 0,
    fingerprint: null,
    ...fields,
    state,
    version: 1,
    error: null,
    attempts: 0,
    createdAt: now,
    updatedAt: now,
    storedAt: state === 'stored' ? now : null,
    history: [{ state, at: now }],
    lease: null,
  };
  return { ...snapshot, outbox: messagesFor(snapshot, firstJobOf(snapshot), { now, newId }) };
}

function firstJobOf({ state, backup }: UploadSnapshot): JobKind | undefined {
  if (state === 'queued') return 'relay';
  return backup?.state === 'due' ? 'backup' : undefined;
}

/** A backup that is asked for now, and has not been tried yet. */
export const dueBackup = (now: number): Backup => ({ state: 'due', since: now, attempts: 0, error: null });

/**
 * Changes state, and asks for a job where one is named: a retry names none, because the queue still holds its job.
 * Throws a RangeError for a transition that the machine does not have: that is a bug, not bad input.
 */
export function transition(upload: Upload, to: UploadState, fields: UploadFields, { now, newId }: Now, job?: JobKind): UploadChange {
  if (!canFollow(upload.state, to)) throw new RangeError(`upload ${upload.id}: ${upload.state} cannot become ${to}`);
  const history = [...upload.history, { state: to, at: now }].slice(-HISTORY_LENGTH);
  const set = {
    ...fields,
    lease: fields.lease ?? null,
    ...(to === 'stored' ? { storedAt: now } : {}),
    state: to,
    history,
    updatedAt: now,
  };
  const { outbox: _, ...snapshot } = { ...upload, ...set, version: upload.version + 1 };
  return { id: upload.id, version: upload.version, set, emit: messagesFor(snapshot, job, { now, newId }) };
}

/** Changes fields without changing state; a job can be asked for along with it. */
export function amend(upload: Upload, fields: UploadFields, { now, newId }: Now, job?: JobKind): UploadChange {
  const emit: OutboxMessage[] = job ? [{ id: newId(), kind: 'job', job, at: now }] : [];
  return { id: upload.id, version: upload.version, set: { ...fields, updatedAt: now }, emit };
}

/** Long retries would grow the record for ever: only the newest steps are kept. */
const HISTORY_LENGTH = 50;

function messagesFor(upload: UploadSnapshot, job: JobKind | undefined, { now, newId }: Now): OutboxMessage[] {
  const messages: OutboxMessage[] = [];
  if (job) messages.push({ id: newId(), kind: 'job', job, at: now });
  if (upload.state !== 'pending')
    messages.push({ id: newId(), kind: 'event', type: `upload.${upload.state}`, at: now, upload: viewOf(upload) });
  return messages;
}
