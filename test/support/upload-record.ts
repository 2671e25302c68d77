import { v7 } from 'uuid';
import { createUpload, type NewUpload, type Now, type Upload } from '../../src/core/upload.ts';

export const at = (now: number): Now => ({ now, newId: () => v7() });

/** A record as `createUpload` makes it: relayed, so that it has messages, unless `fields` say otherwise. */
export function uploadRecord(fields: Partial<NewUpload> = {}, now = 1_000): Upload {
  return createUpload(
    {
      id: v7(),
      tenant: 'acme',
      strategy: 'relay',
      filename: 'cat.jpg',
      contentType: 'image/jpeg',
      size: 48_211,
      sha256: null,
      resource: null,
      metadata: {},
      trace: { requestId: 'request-1', traceparent: null },
      ...fields,
    },
    at(now),
  );
}
