import type { UploadAnswer } from './answers.ts';
import { LocalFailure } from './failures.ts';

/** What is said about a file beside its bytes. */
export interface Order {
  contentType: string;
  resource: { type: string; id: string } | undefined;
  metadata: Record<string, string> | undefined;
  /** Whether to wait until relay or checks are through. */
  wait: boolean;
}

/** Told how an upload gets on. */
export interface Tracker {
  /** What is being done now, such as `hashing` or `sending`. */
  stage(name: string): void;
  /** Bytes that went out; fewer than 0 for those of a try that failed. */
  sent(bytes: number): void;
  /** Bytes that need not be sent, because an earlier run did. */
  kept(bytes: number): void;
}

/** Counts the bytes of one try; `undo` takes them back when it fails. */
export function countTry(tracker: Tracker): { add: (chunk: Buffer) => void; undo: () => void } {
  let bytes = 0;
  return {
    add: ({ length }) => {
      bytes += length;
      tracker.sent(length);
    },
    undo: () => {
      tracker.sent(-bytes);
      bytes = 0;
    },
  };
}

/** Throws for an upload that came to rest in another state than `stored`; those still under way pass. */
export function requireGood(upload: UploadAnswer): UploadAnswer {
  if (!['failed', 'expired', 'deleted'].includes(upload.state)) return upload;
  const { code, detail } = upload.error ?? { code: upload.state, detail: `the upload is ${upload.state}` };
  throw new LocalFailure(code, `${detail} (upload ${upload.id} is ${upload.state})`, `See it with: windlass status ${upload.id}`);
}
