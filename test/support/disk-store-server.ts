import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Koa from 'koa';
import { v7 } from 'uuid';
import type { LocalDiskOptions } from '../../src/adapters/disk/local-disk.ts';
import { storeEndpoint } from '../../src/adapters/object-store/disk/http.ts';
import { DiskPresigner } from '../../src/adapters/object-store/disk/links.ts';
import { DiskObjectStore } from '../../src/adapters/object-store/disk/store.ts';
import { isWindlassError } from '../../src/errors.ts';
import { watchProgress } from '../../src/progress.ts';

/** The embedded store and its signed links on a real server, with an error mapper as small as can be and a clock to turn. */
export async function openDiskStore(options: Partial<LocalDiskOptions> = {}) {
  const root = await mkdtemp(join(tmpdir(), 'windlass-store-'));
  let offset = 0;
  const clock = (): number => Date.now() + offset;
  const store = new DiskObjectStore({ root, minFreeBytes: 0, newId: () => v7(), ...options, clock });
  const app = new Koa();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const presigner = new DiskPresigner({ secret: 'a secret of the tests', publicUrl: url });

  app.on('error', () => undefined);
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      ctx.status = isWindlassError(error) ? error.status : 500;
      ctx.body = isWindlassError(error)
        ? { code: error.code, detail: error.detail, ...error.extras }
        : { code: 'internal', detail: String(error) };
      ctx.req.resume();
    }
  });
  app.use(storeEndpoint({ store, presigner, clock, open: ({ req }) => watchProgress(req, { idleMs: 60_000, minBytesPerSecond: 0 }) }));
  server.on('request', app.callback());

  return {
    root,
    url,
    store,
    presigner,
    clock,
    /** Lets time pass for the store. */
    async pass(ms: number) {
      offset += ms;
    },
    unfinished: () => readdir(join(root, '.unfinished')).catch(() => []),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
