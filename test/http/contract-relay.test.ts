import { expect, test } from '@jest/globals';
import { follow } from '../support/api-client.ts';
import { readEvents } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { fileForm } from '../support/form.ts';
import { RandomFile, sha256Of } from '../support/random-file.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();

test('a relayed upload is accepted at once and stored a little later', async () => {
  const { status, headers, body } = await suite.api.raw('relay', 'relayed bytes', { type: 'text/plain' });
  expect(status).toBe(202);
  expect(body).toMatchObject({ strategy: 'relay', state: 'queued', url: null, location: null });
  expect(new URL(headers.get('location') ?? '', suite.server.url).pathname).toBe(`/v1/uploads/${body.id}`);
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);

  const stored = await suite.api.settled(body.id);
  expect(stored).toMatchObject({ state: 'stored', sha256: sha256Of('relayed bytes'), size: 13, attempts: 1, error: null });
  expect(stored.location).toMatchObject({ store: expect.stringMatching(/^(disk|s3)$/), key: expect.stringContaining(body.id) });
  expect(await suite.api.content(body.id)).toBe('relayed bytes');
});

test('a form is relayed with all its fields', async () => {
  const { status, body } = await suite.api.form(
    'relay',
    fileForm('form', { resourceType: 'post', resourceId: '7', metadata: '{"a":"b"}' }, { filename: 'a.txt' }),
  );
  expect(status).toBe(202);
  expect(await suite.api.settled(body.id)).toMatchObject({
    filename: 'a.txt',
    resource: { type: 'post', id: '7' },
    metadata: { a: 'b' },
    state: 'stored',
  });
});

test('the spool is empty once everything is stored', async () => {
  const file = new RandomFile(300_000, 'spooled');
  const { body } = await suite.api.raw('relay', (await file.bytes()) as Buffer<ArrayBuffer>);
  expect((await suite.api.settled(body.id)).sha256).toBe(await file.sha256());
  await eventually(async () => expect((await suite.server.storedFiles()).filter((path) => path.startsWith('spool'))).toEqual([]));
  expect(await suite.api.contentDigest(body.id)).toMatchObject({ status: 200, sha256: await file.sha256(), size: file.size });
});

test('events tell each state in order, end with the final one, and resume', async () => {
  const { body } = await suite.api.raw('relay', 'watched');
  const response = await suite.api.fetch(`/v1/uploads/${body.id}/events`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const events = await readEvents(response);
  const ids = events.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  expect(events.at(-1)?.upload).toMatchObject({ id: body.id, state: 'stored', sha256: sha256Of('watched') });

  const last = events.at(-1)?.id ?? 0;
  const newer = await readEvents(
    await suite.api.fetch(`/v1/uploads/${body.id}/events`, { headers: { 'Last-Event-ID': String(last - 1) } }),
  );
  expect(newer.map(({ id }) => id)).toEqual([last]);
  const nothing = await suite.api.fetch(`/v1/uploads/${body.id}/events`, { headers: { 'Last-Event-ID': String(last) } });
  expect(await nothing.text()).not.toContain('data:');
});

test('events of a pending upload come as they happen', async () => {
  const { body } = await suite.api.presign({ size: 4 });
  const response = await suite.api.fetch(`/v1/uploads/${body.upload.id}/events`);
  await follow(body.request, 'late');
  await suite.api.complete(body.upload.id);
  const states = (await readEvents(response)).map(({ upload }) => upload.state);
  expect(states.at(0)).toBe('pending');
  expect(states.at(-1)).toBe('stored');
});

test('a wait ends when its time is over, with the state as it is', async () => {
  const { body } = await suite.api.presign({ size: 4 });
  const waited = await suite.api.get(`/v1/uploads/${body.upload.id}`, { Prefer: 'wait=1' });
  expect([waited.status, waited.body.state]).toEqual([200, 'pending']);
});

test('the record has an ETag that changes with it', async () => {
  const { body } = await suite.api.presign({ size: 1 });
  const path = `/v1/uploads/${body.upload.id}`;
  const etag = (await suite.api.get(path)).headers.get('etag') ?? '';
  expect(etag).toMatch(/^"[^"]+"$/);
  expect((await suite.api.get(path, { 'If-None-Match': etag })).status).toBe(304);
  await follow(body.request, 'x');
  await suite.api.complete(body.upload.id);
  expect((await suite.api.get(path, { 'If-None-Match': etag })).status).toBe(200);
});
