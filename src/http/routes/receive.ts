import { z } from 'zod';
import type { Upload } from '../../core/upload.ts';
import type { ErrorCode } from '../../errors.ts';
import { outcomeOfRefusal } from '../../metrics.ts';
import type { Platform } from '../../platform.ts';
import type { Direct } from '../../strategies/direct.ts';
import type { ReceivedFile } from '../../strategies/received-file.ts';
import type { Relay } from '../../strategies/relay.ts';
import { inSpan } from '../../tracing.ts';
import type { Addresses } from '../addresses.ts';
import { fingerprintOf, parseIdempotencyKey, runOnce, sameRequest } from '../idempotency.ts';
import { presentUpload, recordTag } from '../presenter.ts';
import { DiscardingFile } from '../receive/discarding.ts';
import { type UploadFieldValues, uploadFields } from '../receive/fields.ts';
import { InFlight } from '../receive/in-flight.ts';
import { type Announcement, Receiver } from '../receive/receiver.ts';
import { type Call, type Reply, type Route, route } from '../route.ts';
import { uploadSchema } from '../schemas.ts';

export interface ReceiveRouteParts
  extends Pick<Platform, 'config' | 'metrics' | 'tracing' | 'clock' | 'newId' | 'uploads' | 'idempotency'>,
    Addresses {
  direct: Direct;
  relay: Relay;
}

/** The two strategies by which the bytes come to this server. */
export function receiveRoutes(parts: ReceiveRouteParts): Route[] {
  const reception = new Reception(parts);
  return [directRoute(parts, reception), relayRoute(parts, reception)];
}

const DESCRIPTION = `The body is a form with fields before exactly one \`file\` part, or the bytes as they are with \`Content-Type\`
(default \`application/octet-stream\`) and \`Content-Disposition\`, the fields then being query parameters.`;

const HEADERS = {
  'Idempotency-Key': 'Makes repeating the request safe for 24 hours: the same key and request gives the same upload.',
  'Content-Disposition': "Name of a raw file: `attachment; filename*=UTF-8''NAME` (RFC 6266). Default: `upload`.",
  'Content-Digest': '`sha-256=:BASE64:` of a raw body (RFC 9530); it is verified. For a form, use the field `sha256`.',
  Expect: '`100-continue` lets the server refuse before the body is sent.',
};

const STREAMED = {
  'multipart/form-data': {
    schema: uploadFields.extend({ file: z.unknown().meta({ override: { type: 'string', format: 'binary' } }) }),
  },
  'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
  '*/*': { schema: { type: 'string', format: 'binary' } },
};

const ERRORS: ErrorCode[] = [
  'digest_mismatch',
  'upload_timeout',
  'idempotency_in_progress',
  'too_large',
  'type_not_allowed',
  'content_mismatch',
  'idempotency_key_reused',
  'busy',
  'draining',
  'spool_full',
];

const common = {
  method: 'post',
  description: DESCRIPTION,
  tag: 'uploads',
  scope: 'uploads:write',
  query: uploadFields,
  streamed: STREAMED,
  headers: HEADERS,
  errors: ERRORS,
} as const;

const directRoute = (parts: ReceiveRouteParts, reception: Reception): Route =>
  route({
    ...common,
    path: '/v1/uploads/direct',
    errors: [...ERRORS, 'node_unavailable'],
    operationId: 'uploadDirect',
    summary: 'Upload a file to this server',
    responses: { 201: { description: 'The upload, stored.', schema: uploadSchema, headers: { Location: 'Address of the upload.' } } },
    handle: async (call) => created(await reception.upload(parts.direct, call), 201, parts),
  });

const relayRoute = (parts: ReceiveRouteParts, reception: Reception): Route =>
  route({
    ...common,
    path: '/v1/uploads/relay',
    operationId: 'uploadRelay',
    summary: 'Upload a file that is then moved to the object store',
    responses: {
      202: {
        description: 'The upload, queued.',
        schema: uploadSchema,
        headers: { Location: 'Address of the upload.', 'Retry-After': 'Seconds after which to look at it.' },
      },
    },
    handle: async (call) => created(await reception.upload(parts.relay, call), 202, parts, { 'Retry-After': '1' }),
  });

function created(upload: Upload, status: number, { publicUrl, contentUrl }: Addresses, headers: Record<string, string> = {}): Reply {
  const location = { Location: `${publicUrl}/v1/uploads/${upload.id}`, ETag: recordTag(upload) };
  return { status, body: presentUpload(upload, contentUrl), headers: { ...location, ...headers } };
}

type UploadCall = Call<unknown, UploadFieldValues, unknown>;

/** From the request to the accepted upload, the same for both strategies: at most once for each Idempotency-Key. */
class Reception {
  readonly #parts: ReceiveRouteParts;
  readonly #receiver: Receiver;
  readonly #inFlight: InFlight;

  constructor(parts: ReceiveRouteParts) {
    this.#parts = parts;
    this.#receiver = new Receiver(parts);
    this.#inFlight = new InFlight(parts);
  }

  async upload(strategy: Direct | Relay, call: UploadCall): Promise<Upload> {
    const { metrics, newId } = this.#parts;
    const tenant = call.principal.tenant;
    try {
      const announced = this.#receiver.announce(call.ctx, call.query);
      const key = parseIdempotencyKey(call.ctx.req.headers['idempotency-key'] as string | undefined);
      return await this.#inFlight.hold(strategy.strategy, () =>
        runOnce(this.#parts, { tenant, key, newId }, (id, replay, signal) =>
          replay
            ? this.#repeat(strategy, call, announced, replay)
            : this.#accept(strategy, call, announced, { id, keyed: key !== null, signal }),
        ),
      );
    } catch (error) {
      metrics.uploads.inc({ strategy: strategy.strategy, outcome: outcomeOfRefusal(error), ...metrics.tenant(tenant) });
      throw error;
    }
  }

  async #accept(
    to: Direct | Relay,
    { ctx, principal: { tenant }, requestId, traceparent }: UploadCall,
    announced: Announcement,
    { id, keyed, signal }: { id: string; keyed: boolean; signal: AbortSignal },
  ): Promise<Upload> {
    const { strategy } = to;
    ctx.state.uploadId = id;
    const { metrics, tracing } = this.#parts;
    const attributes = { 'windlass.strategy': strategy, 'windlass.upload.id': id };
    const received = await inSpan(tracing, 'receive', { attributes }, async (span) => {
      const file = await this.#receiver.receive(ctx, announced, strategy, (size) => to.open(tenant, id, size));
      span.set({ 'windlass.upload.size': file.size });
      return file;
    });
    const fingerprint = keyed ? fingerprintOfFile(tenant, strategy, received) : null;
    const upload = await inSpan(tracing, 'accept', { attributes }, () =>
      to.accept(received, { tenant, id, trace: { requestId, traceparent }, fingerprint, signal }),
    );
    metrics.uploads.inc({ strategy, outcome: upload.state === 'stored' ? 'stored' : 'accepted', ...metrics.tenant(tenant) });
    metrics.uploadSize.observe({ strategy }, upload.size);
    return upload;
  }

  /** Whether it is the same request can only be told when its bytes have been read. */
  async #repeat({ strategy }: Direct | Relay, { ctx, principal }: UploadCall, announced: Announcement, replay: Upload): Promise<Upload> {
    ctx.state.uploadId = replay.id;
    const received = await this.#receiver.receive(ctx, announced, strategy, async () => new DiscardingFile());
    return sameRequest(replay, fingerprintOfFile(principal.tenant, strategy, received));
  }
}

function fingerprintOfFile(tenant: string, route: string, { file: _, ...request }: ReceivedFile): string {
  return fingerprintOf({ tenant, route, ...request });
}
