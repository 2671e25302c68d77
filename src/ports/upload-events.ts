import type { UploadState, UploadView } from '../core/upload.ts';

export interface UploadEvent {
  /** Id of the outbox message; the same event may arrive more than once. */
  id: string;
  type: `upload.${UploadState}`;
  /** Epoch ms. */
  at: number;
  /** The upload as the change left it. */
  upload: UploadView;
}

/** Changes of uploads, told to whoever waits. A hint: events may be late, doubled or missing, so listeners also read the record. */
export interface UploadEvents {
  /** Throws `queue_unavailable` when the event could not be handed over; the outbox keeps it. */
  publish(event: UploadEvent): Promise<void>;
  /** Events of all uploads that this process hears of. Returns the function that ends the subscription. */
  subscribe(listener: (event: UploadEvent) => void): () => void;
}
