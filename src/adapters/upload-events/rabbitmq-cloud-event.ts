import { z } from 'zod';
import { STATES, STRATEGIES, type UploadView } from '../../core/upload.ts';
import type { UploadEvent } from '../../ports/upload-events.ts';

export const CLOUD_EVENT_TYPE = 'application/cloudevents+json';

/** How a type of an event begins. */
const TYPE_PREFIX = 'upload.';

const iso = (at: number): string => new Date(at).toISOString();
const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at));

/**
 * An event as CloudEvents 1.0 has it, with the upload as the HTTP API shows it (and the attributes that it does not show,
 * `tenant` and `recordversion`, as extensions). `publicUrl` is the address that clients reach the
 * platform by, `contentUrl` the one below which they read the content of uploads.
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */
export function toCloudEvent({ id, type, at, upload }: UploadEvent, publicUrl: string, contentUrl = publicUrl) {
  return {
    specversion: '1.0',
    id,
    source: publicUrl,
    type,
    subject: upload.id,
    time: iso(at),
    datacontenttype: 'application/json',
    tenant: upload.tenant,
    recordversion: upload.version,
    data: toData(upload, contentUrl),
  };
}

function toData({ tenant: _tenant, version: _version, ...upload }: UploadView, contentUrl: string) {
  return {
    ...upload,
    url: upload.state === 'stored' ? `${contentUrl}/v1/uploads/${upload.id}/content` : null,
    history: upload.history.map(({ state, at }) => ({ state, at: iso(at) })),
    createdAt: iso(upload.createdAt),
    updatedAt: iso(upload.updatedAt),
    storedAt: isoOrNull(upload.storedAt),
    expiresAt: isoOrNull(upload.expiresAt),
  };
}

const time = z.iso.datetime().transform((text) => Date.parse(text));
const state = z.enum(STATES);

const uploadData = z.object({
  id: z.string(),
  strategy: z.enum(STRATEGIES),
  state,
  filename: z.string(),
  contentType: z.string(),
  size: z.number(),
  sha256: z.string().nullable(),
  location: z
    .object({ store: z.enum(['disk', 's3']), bucket: z.string().nullable(), key: z.string(), node: z.string().nullable() })
    .nullable(),
  resource: z.object({ type: z.string(), id: z.string() }).nullable(),
  metadata: z.record(z.string(), z.string()),
  error: z.object({ code: z.string(), detail: z.string() }).nullable(),
  attempts: z.number(),
  history: z.array(z.object({ state, at: time })),
  createdAt: time,
  updatedAt: time,
  storedAt: time.nullable(),
  expiresAt: time.nullable(),
});

const cloudEvent = z.object({
  specversion: z.literal('1.0'),
  id: z.string().min(1),
  type: z.templateLiteral([TYPE_PREFIX, state]),
  time,
  tenant: z.string(),
  recordversion: z.number(),
  data: uploadData,
});

/** The event that `toCloudEvent` was given; members that a later version has added are left out. Null for anything else. */
export function fromCloudEvent(content: Buffer): UploadEvent | null {
  const parsed = cloudEvent.safeParse(parseJson(content.toString()));
  if (!parsed.success) return null;
  const { id, type, time: at, tenant, recordversion: version, data } = parsed.data;
  return { id, type, at, upload: { ...data, tenant, version } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
