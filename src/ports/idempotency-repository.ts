export interface IdempotencyClaim {
  tenant: string;
  /** The client's Idempotency-Key, as sent. */
  key: string;
  /** Id that an upload made under this key has or will have: whether the request succeeded is whether that upload exists. */
  uploadId: string;
  /** Who carries the request out. */
  holder: string;
  /** Epoch ms. */
  leaseUntil: number;
  /** When the key is forgotten; epoch ms. */
  expiresAt: number;
}

/** Failure contract as for the upload repository. */
export interface IdempotencyRepository {
  /**
   * Claims the key: returns `claim` itself when it was free (or forgotten), otherwise the claim that holds it. A claim
   * whose lease has ended (at `now`) is handed over, keeping its `uploadId`: the one returned then has the new holder.
   */
  claim(claim: IdempotencyClaim, now: number): Promise<IdempotencyClaim>;
  /** False when somebody else holds it by now. */
  renew(tenant: string, key: string, holder: string, leaseUntil: number): Promise<boolean>;
  /** Frees the key after a failure, if `holder` still holds it. */
  release(tenant: string, key: string, holder: string): Promise<void>;
  /** Forgets keys whose `expiresAt` lies before `now`; how many. */
  sweep(now: number): Promise<number>;
}
