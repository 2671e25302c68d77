import { z } from 'zod';

/** What the client reads of a server's answers. Looser than the server's own schemas: a newer server may say more. */
export const uploadAnswer = z.looseObject({
  id: z.uuid(),
  strategy: z.string(),
  state: z.string(),
  filename: z.string(),
  contentType: z.string(),
  size: z.int().min(0),
  sha256: z.string().nullable(),
  url: z.string().nullable(),
  resource: z.object({ type: z.string(), id: z.string() }).nullable(),
  metadata: z.record(z.string(), z.string()),
  error: z.object({ code: z.string(), detail: z.string() }).nullable(),
  createdAt: z.string(),
  storedAt: z.string().nullable(),
  expiresAt: z.string().nullable(),
});
export type UploadAnswer = z.output<typeof uploadAnswer>;

const headers = z.record(z.string(), z.string());
const link = z.object({ method: z.string(), url: z.url({ protocol: /^https?$/ }), headers });
export type LinkAnswer = z.output<typeof link>;

export const plan = z.object({ partSize: z.int().min(1), partCount: z.int().min(1).max(10_000) });

export const presignAnswer = z.object({ upload: uploadAnswer, request: link.optional(), multipart: plan.optional() });
export type PresignAnswer = z.output<typeof presignAnswer>;
export const linkAnswer = z.object({ request: link });
export const partLinksAnswer = z.object({
  parts: z.array(z.object({ partNumber: z.int(), url: z.url({ protocol: /^https?$/ }), headers })),
});
export const partsAnswer = z.object({ parts: z.array(z.object({ partNumber: z.int(), size: z.int() })) });
export const pageAnswer = z.object({ items: z.array(uploadAnswer), nextCursor: z.string().nullable() });

/** RFC 9457: every member may be missing. */
export const problemAnswer = z.object({
  type: z.string().optional().catch(undefined),
  title: z.string().optional().catch(undefined),
  detail: z.string().optional().catch(undefined),
  code: z.string().optional().catch(undefined),
  requestId: z.string().optional().catch(undefined),
  errors: z
    .array(z.object({ pointer: z.string(), detail: z.string() }))
    .optional()
    .catch(undefined),
  limit: z.number().optional().catch(undefined),
  expected: z.unknown().optional(),
  actual: z.unknown().optional(),
});
