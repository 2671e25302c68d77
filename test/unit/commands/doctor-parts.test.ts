import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { checkParts } from '../../../src/commands/doctor-parts.ts';
import type { Finding } from '../../../src/commands/finding.ts';
import { readConfig } from '../../../src/config.ts';
import { createMetrics } from '../../../src/metrics.ts';
import type { ObjectStore } from '../../../src/ports/object-store.ts';
import { type Parts, partsOf } from '../../../src/wire.ts';

let dir: string;
let parts: Parts;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'windlass-doctor-'));
  parts = partsOf({
    config: readConfig({ DATA_DIR: dir, MIN_FREE_BYTES: '0' }),
    log: pino({ level: 'silent' }),
    metrics: createMetrics('test'),
    publicUrl: 'http://localhost:8080',
    patient: false,
    listening: false,
  });
});
afterEach(async () => {
  await parts.close();
  await rm(dir, { recursive: true, force: true });
});

async function aboutStore(examined: Parts): Promise<Finding | undefined> {
  for await (const finding of checkParts(examined, true)) if (finding.subject === 'object store') return finding;
  return undefined;
}

test('a store that takes bytes under the digest of others is broken, and nothing is left there', async () => {
  const { ports, ...objects } = await parts.objects();
  const put: ObjectStore['put'] = async (key, source) => {
    const bytes = await buffer(await source.open());
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return ports.store.put(key, { ...source, sha256, open: async () => Readable.from([Buffer.from(bytes)]) });
  };
  const store = new Proxy(ports.store, {
    get(target, name) {
      const member: unknown = name === 'put' ? put : Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const lenient = { ...parts, objects: async () => ({ ...objects, ports: { ...ports, store } }) };
  expect(await aboutStore(lenient)).toMatchObject({ state: 'broken', detail: expect.stringContaining('other bytes than their digest') });
  for await (const { key } of ports.store.list('')) expect(key).toBeNull();
});

test('the embedded store refuses them', async () => {
  expect(await aboutStore(parts)).toMatchObject({ state: 'ok' });
});
