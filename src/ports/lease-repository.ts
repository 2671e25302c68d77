/** Leases on names, so that of many processes one at a time does a thing. Failure contract as for the upload repository. */
export interface LeaseRepository {
  /** True when the lease is free, ended (at `now`, epoch ms) or already ours; it then runs until `until`. */
  acquire(name: string, holder: string, now: number, until: number): Promise<boolean>;
  /** Idempotent; does nothing when somebody else holds it. */
  release(name: string, holder: string): Promise<void>;
}
