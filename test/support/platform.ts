import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type Environment, readConfig } from '../../src/config.ts';
import { diskKeyOf, keyOf } from '../../src/core/keys.ts';
import type { NewUpload, Upload } from '../../src/core/upload.ts';
import { Ledger } from '../../src/ledger.ts';
import { createMetrics } from '../../src/metrics.ts';
import type { Platform } from '../../src/platform.ts';
import type { Disk } from '../../src/ports/disk.ts';
import { wire } from '../../src/wire.ts';

export interface TestPlatform {
  platform: Platform;
  /** Writes records and leaves their messages in the outbox: tests decide who publishes. */
  ledger: Ledger;
  dir: string;
  close(): Promise<void>;
}

/** The real embedded parts in a folder of their own. */
export async function openTestPlatform(environment: Environment = {}): Promise<TestPlatform> {
  const dir = await mkdtemp(join(tmpdir(), 'windlass-platform-'));
  const config = readConfig({ DATA_DIR: dir, MIN_FREE_BYTES: '0', ...environment });
  const publicUrl = 'http://localhost:8080';
  const { platform, close } = await wire({
    config,
    log: pino({ level: 'silent' }),
    metrics: createMetrics('test'),
    publicUrl,
    patient: false,
    listening: true,
  });
  return {
    platform,
    ledger: new Ledger(platform, () => undefined),
    dir,
    async close() {
      await close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export async function writeFileTo(disk: Disk, key: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.create(key, bytes.length);
  await file.write([bytes]);
  await file.commit();
}

export function newUpload(platform: Pick<Platform, 'newId'>, bytes: Uint8Array, fields: Partial<NewUpload> = {}): NewUpload {
  return {
    id: platform.newId(),
    tenant: 'acme',
    strategy: 'relay',
    filename: 'cat.jpg',
    contentType: 'image/jpeg',
    size: bytes.length,
    sha256: sha256(bytes),
    resource: null,
    metadata: {},
    trace: { requestId: 'request-1', traceparent: null },
    ...fields,
  };
}

/** An accepted relay: its bytes in the spool, its record queued with a job in the outbox. */
export async function acceptRelay({ platform, ledger }: TestPlatform, bytes: Uint8Array, fields: Partial<NewUpload> = {}): Promise<Upload> {
  const upload = newUpload(platform, bytes, fields);
  const key = diskKeyOf('spool', upload.tenant, upload.id);
  await writeFileTo(platform.spool, key, bytes);
  return ledger.create({ spool: { node: platform.config.NODE_NAME, key }, ...upload });
}

/** A direct upload: its bytes on the disk, its record stored. */
export async function acceptDirect(
  { platform, ledger }: TestPlatform,
  bytes: Uint8Array,
  fields: Partial<NewUpload> = {},
): Promise<Upload> {
  const upload = newUpload(platform, bytes, { strategy: 'direct', ...fields });
  const key = keyOf('files', upload.tenant, upload.id);
  await writeFileTo(platform.direct, key, bytes);
  return ledger.create({ ...upload, location: { store: 'disk', bucket: null, key, node: platform.config.NODE_NAME } });
}

export async function bytesOf(stream: AsyncIterable<Uint8Array> | null): Promise<Buffer | null> {
  if (!stream) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Resolves once `look` gives something other than null, undefined or false; gives up before the test's own time limit does. */
export async function until<T>(look: () => Promise<T> | T): Promise<NonNullable<T>> {
  for (let tries = 0; tries < 1000; tries += 1) {
    const seen = await look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('what was waited for did not happen');
}
