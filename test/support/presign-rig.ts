import { Readable } from 'node:stream';
import type { DiskObjectStore } from '../../src/adapters/object-store/disk/store.ts';
import type { Environment } from '../../src/config.ts';
import { parseKey } from '../../src/core/keys.ts';
import type { Upload } from '../../src/core/upload.ts';
import { WindlassError } from '../../src/errors.ts';
import { Ledger } from '../../src/ledger.ts';
import type { Platform } from '../../src/platform.ts';
import type { Delivery, Job } from '../../src/ports/job-queue.ts';
import { Completion } from '../../src/strategies/completion.ts';
import { Presign, type PresignOrder } from '../../src/strategies/presign.ts';
import { Resources } from '../../src/strategies/resources.ts';
import { bytesOf, openTestPlatform } from './platform.ts';

type Interceptor = (next: () => Promise<unknown>, args: unknown[]) => Promise<unknown>;

/** A port whose calls tests can hold up, fail or count: `on` decides what happens to the next calls of one method. */
export function intercepted<T extends object>(port: T): { port: T; on(method: keyof T & string, interceptor: Interceptor): () => void } {
  const interceptors = new Map<PropertyKey, Interceptor>();
  const proxy = new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        const next = () => member.apply(target, args);
        const interceptor = interceptors.get(name);
        return interceptor ? interceptor(next, args) : next();
      };
    },
  });
  return {
    port: proxy,
    on(method, interceptor) {
      interceptors.set(method, interceptor);
      return () => void interceptors.delete(method);
    },
  };
}

export const outage = (): WindlassError => new WindlassError('store_unavailable', 'The store is away.', { retryAfter: 5 });

export interface Replica {
  completion: Completion;
  presign: Presign;
  resources: Resources;
}

/** The presign strategy on the embedded parts, with a clock to turn and ports to disturb. */
export async function openPresignRig(environment: Environment = {}) {
  const test = await openTestPlatform({ LEASE_SECONDS: '5', ...environment });
  let offset = 0;
  const store = intercepted(test.platform.store);
  const uploads = intercepted(test.platform.uploads);
  const resources = intercepted(test.platform.resources);
  const platform: Platform = {
    ...test.platform,
    store: store.port,
    uploads: uploads.port,
    resources: resources.port,
    clock: () => Date.now() + offset,
  };
  const ledger = new Ledger(platform, ({ outbox }) => {
    for (const message of outbox)
      if (message.kind === 'event')
        void platform.events.publish({ id: message.id, type: message.type, at: message.at, upload: message.upload });
  });

  /** One more process on the same parts. */
  const replica = (): Replica => {
    const parts = { ...platform, ledger };
    const completion = new Completion(parts);
    return { completion, presign: new Presign(parts), resources: new Resources({ ...parts, completion }) };
  };
  const first = replica();
  const grave = new AbortController();

  const find = async (id: string): Promise<Upload> => {
    const upload = await test.platform.uploads.find(id);
    if (!upload) throw new Error(`no upload ${id}`);
    return upload;
  };
  const stage = async (key: string, bytes: Uint8Array, contentType = 'text/plain'): Promise<void> => {
    // As a client does by a link: whatever was there is replaced.
    const object = await (test.platform.store as DiskObjectStore).begin(key, { size: bytes.length, contentType, sha256: null });
    await object.append(Readable.from([Buffer.from(bytes)]));
    await object.commit();
  };

  return {
    ...first,
    platform,
    ledger,
    dir: test.dir,
    store,
    uploads,
    resourceRecords: resources,
    replica,
    find,
    stage,
    pass(ms: number) {
      offset += ms;
    },
    announce(size: number, fields: Partial<PresignOrder> = {}): Promise<Upload> {
      return first.presign.create({
        id: platform.newId(),
        tenant: 'acme',
        trace: { requestId: 'request-1', traceparent: null },
        filename: 'a.txt',
        contentType: 'text/plain',
        size,
        sha256: null,
        resource: null,
        metadata: {},
        method: 'PUT',
        fingerprint: null,
        ...fields,
      });
    },
    /** Announced, and its bytes sent as the client was told to. */
    async uploaded(bytes: Uint8Array, fields: Partial<PresignOrder> = {}): Promise<Upload> {
      const upload = await this.announce(bytes.length, fields);
      await stage(upload.staging?.key ?? '', bytes, upload.contentType);
      return upload;
    },
    async part(upload: Upload, partNumber: number, bytes: Uint8Array): Promise<void> {
      const { key, multipartId } = upload.staging ?? {};
      if (!key || !multipartId) throw new Error('not a multipart upload');
      const terms = { key, multipartId, partNumber, size: bytes.length };
      await (test.platform.store as DiskObjectStore).writePart(terms, async function* () {
        yield Buffer.from(bytes);
      });
    },
    /** What the store holds under the upload's key of the given area. */
    async content({ tenant, id }: Upload, area: 'files' | 'staging'): Promise<string | null> {
      const keys: string[] = [];
      for await (const { key } of test.platform.store.list(`${area}/${tenant}/`)) if (parseKey(key)?.id === id) keys.push(key);
      const bytes = keys[0] === undefined ? null : await bytesOf(await test.platform.store.read(keys[0]));
      return bytes?.toString() ?? null;
    },
    job: (upload: Upload): Job => ({ id: platform.newId(), kind: 'complete', uploadId: upload.id, trace: upload.trace }),
    delivery: (): Pick<Delivery, 'signal'> => ({ signal: new AbortController().signal }),
    /** What a process that has died waits for: nothing that ever comes, as long as the test runs. */
    death: (): Promise<never> =>
      new Promise((_, reject) => {
        grave.signal.addEventListener('abort', () => reject(new Error('the process has died')));
      }),
    async close() {
      grave.abort();
      await first.completion.drain();
      await test.close();
    },
  };
}

export type PresignRig = Awaited<ReturnType<typeof openPresignRig>>;

/** The error that a promise ends with; fails when it does not. */
export async function failure(promise: Promise<unknown>): Promise<WindlassError> {
  try {
    await promise;
  } catch (error) {
    return error as WindlassError;
  }
  throw new Error('it went well');
}
