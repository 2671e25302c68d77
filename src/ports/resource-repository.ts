/** A thing of the users' own (a post, an order) that uploads belong to. The relation itself stands on each upload. */
export interface Resource {
  tenant: string;
  type: string;
  id: string;
  attributes: Record<string, unknown>;
  /** Raised by one with each change; the ETag comes from it. */
  revision: number;
  /** Links that were decided on but not yet all written to the uploads; finished by the request, or after a crash by the reconciler. */
  intent: LinkIntent | null;
  /** Epoch ms. */
  createdAt: number;
  updatedAt: number;
}

export interface LinkIntent {
  /** The resource's revision that decided on it. */
  revision: number;
  /** Ids of the uploads that shall be linked; all others that are linked with an older revision shall be unlinked. */
  uploads: string[];
  /** Uploads named by an earlier intent that was never finished: they may become linked late and must be unlinked too. */
  previous: string[];
}

export interface ResourceKey {
  tenant: string;
  type: string;
  id: string;
}

/** Failure contract as for the upload repository; every write is one atomic change of one record. */
export interface ResourceRepository {
  find(key: ResourceKey): Promise<Resource | null>;
  /** Creates the resource if it is missing and raises its revision either way; attributes stay. Returns it as it is afterwards. */
  touch(key: ResourceKey, now: number): Promise<Resource>;
  /**
   * Writes `next` if the stored revision still is `expectedRevision` (0: there must be none). False when it has moved on.
   * `next.revision` is `expectedRevision + 1`.
   */
  replace(next: Resource, expectedRevision: number): Promise<boolean>;
  /** Clears the intent if it still is the one of this revision. Does not raise the resource's revision. */
  settle(key: ResourceKey, intentRevision: number): Promise<void>;
  /** Removes it if the stored revision still is `revision`. */
  remove(key: ResourceKey, revision: number): Promise<boolean>;
  /** Those with an intent, last updated before `before` (epoch ms). */
  unsettled(before: number, limit: number): Promise<Resource[]>;
}
