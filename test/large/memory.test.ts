import { describe, expect, test } from '@jest/globals';
import { type Answer, ApiClient, bodyOf, type LinkView } from '../support/api-client.ts';
import { partHead } from '../support/form.ts';
import { RandomFile } from '../support/random-file.ts';
import { type RunningServer, startServer } from '../support/server.ts';

const MIB = 1024 ** 2;
const SIZE = Number(process.env.TEST_LARGE_BYTES ?? 200 * MIB);
/** Far less than the file, far more than what streaming needs. */
const MOST_MEMORY = 150 * MIB;
const TIMEOUT_MS = 120_000 + SIZE / 5000;

const file = new RandomFile(SIZE, 'large');
const SETTINGS = { MAX_UPLOAD_BYTES: '1TiB', COMPLETE_WAIT_SECONDS: '60' };

const raw = (strategy: string) => (api: ApiClient) =>
  api.send('POST', `/v1/uploads/${strategy}`, { ...bodyOf(file), headers: { 'Content-Type': 'application/octet-stream' } });

const asForm = (strategy: string) => (api: ApiClient) =>
  api.send('POST', `/v1/uploads/${strategy}`, { ...formOf([]), headers: { 'Content-Type': 'multipart/form-data; boundary=large' } });

/** A form that is never held in memory. */
function formOf(fields: [string, string][]): RequestInit & { duplex: 'half' } {
  const before = fields.map(([name, value]) => `--large\r\n${partHead({ name, value })}\r\n\r\n${value}\r\n`).join('');
  const start = `${before}--large\r\n${partHead({ name: 'file', filename: 'large.bin', type: 'application/octet-stream', value: '' })}\r\n\r\n`;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(start);
    yield* file.chunks();
    yield Buffer.from('\r\n--large--\r\n');
  }
  return { body: ReadableStream.from(bytes()), duplex: 'half' };
}

async function order(api: ApiClient, method: 'PUT' | 'POST'): Promise<{ id: string; answer: Answer }> {
  const answer = await api.presign({ size: SIZE, method });
  expect(answer.status).toBe(201);
  return { id: answer.body.upload.id, answer };
}

async function putLink(api: ApiClient): Promise<Answer> {
  const { id, answer } = await order(api, 'PUT');
  await send(answer.body.request, 0, SIZE);
  return api.complete(id);
}

async function postLink(api: ApiClient): Promise<Answer> {
  const { id, answer } = await order(api, 'POST');
  const { url, fields = {} } = answer.body.request;
  const sent = await fetch(url, {
    ...formOf(Object.entries(fields)),
    method: 'POST',
    headers: { 'Content-Type': 'multipart/form-data; boundary=large' },
  });
  expect(sent.ok).toBe(true);
  return api.complete(id);
}

async function inParts(api: ApiClient): Promise<Answer> {
  const { id, answer } = await order(api, 'PUT');
  const { partSize, partCount } = answer.body.multipart;
  for (let partNumber = 1; partNumber <= partCount; partNumber += 1) {
    const { body } = await api.json('POST', `/v1/uploads/${id}/parts`, { partNumbers: [partNumber] });
    const [link] = body.parts;
    const start = (partNumber - 1) * partSize;
    if (link) await send({ method: 'PUT', ...link }, start, Math.min(start + partSize, SIZE));
  }
  return api.complete(id);
}

async function send({ method, url, headers }: LinkView, start: number, end: number): Promise<void> {
  const sent = await fetch(url, { ...bodyOf(file, start, end), method, headers: { ...headers, 'Content-Length': String(end - start) } });
  expect(await sent.text()).toBeDefined();
  expect(sent.status).toBeLessThan(300);
}

const WAYS: [string, (api: ApiClient) => Promise<Answer>, Record<string, string>][] = [
  ['directly', raw('direct'), {}],
  ['directly, by a form', asForm('direct'), {}],
  ['by the relay', raw('relay'), {}],
  ['by the relay, by a form', asForm('relay'), {}],
  ['by a link', putLink, { SINGLE_PART_BYTES: '5GiB' }],
  ['by a link for a form', postLink, { SINGLE_PART_BYTES: '5GiB' }],
  ['in parts', inParts, { SINGLE_PART_BYTES: '1MiB', PART_BYTES: '32MiB' }],
];

describe(`a file of ${Math.round(SIZE / MIB)} MiB`, () => {
  test.each(WAYS)(
    'sent %s is stored whole, and never in memory',
    async (_, upload, settings) => {
      await using server = await startServer({ ...SETTINGS, ...settings });
      const api = new ApiClient(server.url);
      await api.raw('direct', 'warm');
      const idle = await server.peakMemory();
      const { status, body } = await upload(api);
      expect(status).toBeLessThan(300);
      const stored = await waitUntilStored(api, body.id);
      expect(stored).toEqual({ state: 'stored', sha256: await file.sha256(), size: SIZE });
      expect(await api.contentDigest(body.id)).toEqual({ status: 200, sha256: await file.sha256(), size: SIZE });
      expect(await grown(server, idle)).toBeLessThan(MOST_MEMORY);
    },
    TIMEOUT_MS,
  );
});

async function waitUntilStored(api: ApiClient, id: string): Promise<object> {
  for (;;) {
    const { state, sha256, size } = await api.settled(id);
    if (!['queued', 'relaying', 'verifying'].includes(state)) return { state, sha256, size };
  }
}

const grown = async (server: RunningServer, idle: number): Promise<number> => (await server.peakMemory()) - idle;
