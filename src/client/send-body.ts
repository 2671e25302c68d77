import { createHash, randomUUID } from 'node:crypto';
import { type UploadAnswer, uploadAnswer } from './answers.ts';
import type { ApiClient } from './api-client.ts';
import type { Body } from './connection.ts';
import { LocalFailure } from './failures.ts';
import type { Limiter } from './limiter.ts';
import { countTry, type Order, requireGood, type Tracker } from './order.ts';
import { readRange, type Source, sha256Of } from './source.ts';

/**
 * Strategies 1 and 2: the bytes as the body of one request. The Idempotency-Key makes repeating it safe; what can be
 * read only once (stdin) is sent once. A file is hashed before, so that the server can check what arrives, a stream on
 * the way; either way the digest is compared with what the server recorded.
 */
export async function sendBody(
  { client, limiter }: { client: ApiClient; limiter: Limiter },
  strategy: 'direct' | 'relay',
  source: Source,
  order: Order,
  tracker: Tracker,
): Promise<UploadAnswer> {
  if (source.kind === 'file') tracker.stage('hashing');
  const sha256 = source.kind === 'file' ? await sha256Of(source) : undefined;
  const query = {
    resourceType: order.resource?.type,
    resourceId: order.resource?.id,
    metadata: order.metadata && JSON.stringify(order.metadata),
    sha256,
  };
  const headers = {
    'Content-Type': order.contentType,
    'Content-Disposition': `attachment; filename*=UTF-8''${encodeName(source.name)}`,
    'Idempotency-Key': randomUUID(),
    ...(sha256 === undefined ? {} : { 'Content-Digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:` }),
  };
  const once = async (): Promise<UploadAnswer> => {
    const counted = countTry(tracker);
    const hash = createHash('sha256');
    const body = bodyOf(source, (chunk) => {
      if (sha256 === undefined) hash.update(chunk);
      counted.add(chunk);
    });
    try {
      const upload = await client.read(uploadAnswer, 'POST', `/v1/uploads/${strategy}`, { query, headers, body });
      return requireSame(upload, sha256 ?? hash.digest('hex'));
    } catch (error) {
      counted.undo();
      throw error;
    }
  };
  tracker.stage('sending');
  const upload = await limiter.run(() => (source.kind === 'file' ? client.retrying(once) : once()));
  if (upload.state === 'stored' || !order.wait) return requireGood(upload);
  tracker.stage('relaying');
  return requireGood(await client.settled(upload.id));
}

const bodyOf = (source: Source, onChunk: (chunk: Buffer) => void): Body =>
  source.kind === 'file'
    ? { size: source.size, open: () => readRange(source, 0, source.size), onChunk }
    : { size: null, open: source.open, onChunk };

function requireSame(upload: UploadAnswer, sha256: string): UploadAnswer {
  if (upload.sha256 === sha256) return upload;
  throw new LocalFailure(
    'digest_mismatch',
    `the server recorded other bytes than were sent (upload ${upload.id})`,
    `Delete it (windlass rm ${upload.id}) and upload the file again.`,
  );
}

/** RFC 8187: encodeURIComponent leaves some characters that an extended value may not have. */
const encodeName = (name: string): string =>
  encodeURIComponent(name).replaceAll(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
