import type { UploadView } from '../core/upload.ts';

let last = { at: Number.NaN, text: '' };

/** RFC 3339. The times of an upload are often the same, and told of more than once. */
function iso(at: number): string {
  if (last.at !== at) last = { at, text: new Date(at).toISOString() };
  return last.text;
}

const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at));

/** An upload as clients see it. `contentUrl` is the address below which its content is read. */
export function presentUpload(upload: UploadView, contentUrl: string) {
  const { id, strategy, state, filename, contentType, size, sha256, location, resource, metadata, error, attempts } = upload;
  return {
    id,
    strategy,
    state,
    filename,
    contentType,
    size,
    sha256,
    url: state === 'stored' ? `${contentUrl}/v1/uploads/${id}/content` : null,
    location,
    resource,
    metadata,
    error,
    attempts,
    history: upload.history.map((step) => ({ state: step.state, at: iso(step.at) })),
    createdAt: iso(upload.createdAt),
    updatedAt: iso(upload.updatedAt),
    storedAt: isoOrNull(upload.storedAt),
    expiresAt: isoOrNull(upload.expiresAt),
  };
}

/** ETag of an upload's record (not of its content). */
export const recordTag = (upload: UploadView): string => `"${upload.id}.${upload.version}"`;
