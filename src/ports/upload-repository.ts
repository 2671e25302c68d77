import type { ResourceRef, Strategy, Upload, UploadChange, UploadState } from '../core/upload.ts';

export interface UploadFilter {
  tenant: string;
  state?: UploadState | undefined;
  strategy?: Strategy | undefined;
  resource?: ResourceRef | undefined;
  resourceType?: string | undefined;
  resourceId?: string | undefined;
  /** Deleted uploads are left out unless `state` asks for them. Only ids smaller than this one: the cursor. */
  before?: string | undefined;
  limit: number;
}

/** For the reconciler and the audit: records of all tenants, by ascending id. Every condition given must hold. */
export interface UploadScan {
  states?: readonly UploadState[];
  /** Epoch ms; strictly earlier. */
  updatedBefore?: number;
  /** `expiresAt` strictly earlier. */
  expiresBefore?: number;
  /** No lease, or one that ended strictly earlier. */
  leaseEndedBefore?: number;
  /** A backup is asked for since strictly earlier than this (epoch ms). */
  backupDueBefore?: number;
  /** On which server's disk the bytes are, by `location.node`. */
  node?: string;
  /** Ids strictly greater than this one. */
  after?: string;
  limit: number;
}

export interface BacklogStats {
  outboxMessages: number;
  /** When the oldest undelivered message was written (epoch ms), null when there is none. */
  outboxOldestAt: number | null;
  /** When the oldest upload still in `queued` was created (epoch ms). */
  queuedOldestAt: number | null;
  /** Direct files whose backup is asked for and not there yet. */
  backupsDue: number;
  /** When the first of those was asked for (epoch ms). */
  backupsOldestAt: number | null;
}

/**
 * The records. Every write is one atomic change of one record. Failure contract: `repository_unavailable` when the
 * database does not answer in time; then a write may or may not have happened.
 */
export interface UploadRepository {
  /** Throws `conflict` when the id is taken. */
  insert(upload: Upload): Promise<void>;
  find(id: string): Promise<Upload | null>;
  /** Those that exist, in any order. */
  findMany(ids: readonly string[]): Promise<Upload[]>;
  /** Carries out the change if the record still has `change.version`; the changed record, or null when it has moved on. */
  apply(change: UploadChange): Promise<Upload | null>;
  /** Prolongs a lease without raising the version. False when the lease belongs to somebody else by now. */
  renewLease(id: string, token: string, expiresAt: number): Promise<boolean>;
  /** Takes published messages out, without raising the version. Idempotent. */
  removeMessages(id: string, messageIds: readonly string[]): Promise<void>;
  /** Newest first. */
  list(filter: UploadFilter): Promise<Upload[]>;
  scan(query: UploadScan): Promise<Upload[]>;
  /** Records with an undelivered message written before `before` (epoch ms), oldest first. */
  undelivered(before: number, limit: number): Promise<Upload[]>;
  /** Removes the record itself, if it still has this version. */
  purge(id: string, version: number): Promise<boolean>;
  backlog(): Promise<BacklogStats>;
  /** A round trip; throws `repository_unavailable`. */
  ping(): Promise<void>;
}
