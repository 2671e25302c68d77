/** One thing that a part needs at its server before it can work: a bucket, a queue, an index. */
export interface ProvisionStep {
  subject: string;
  /** `unsupported`: this server cannot do it; `detail` says what is done instead. */
  outcome: 'made' | 'unchanged' | 'unsupported';
  detail: string;
}

/** A part that has to be set up at its server. Safe to repeat, also by several processes at once. */
export interface Provisioned {
  /** Throws the part's own `…_unavailable` when the server does not answer or refuses. */
  provision(): Promise<ProvisionStep[]>;
}
