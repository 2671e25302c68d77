import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { storedFiles } from '../support/data-folder.ts';
import { fileForm, form } from '../support/form.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { startUploadServer, type UploadServer } from '../support/upload-server.ts';

let server: UploadServer;
beforeEach(async () => {
  server = await startUploadServer();
});
afterEach(() => server.close());

const KEY = { 'Idempotency-Key': '"one"' };

test.each(['direct', 'relay'] as const)(
  '%s: the same form again, with another boundary, gives the same upload and no second file',
  async (strategy) => {
    const parts = [
      { name: 'metadata', value: '{"a":"b"}' },
      { name: 'file', filename: 'a.txt', type: 'text/plain', value: 'hello' },
    ];
    const first = await server.api.form(strategy, form(parts, 'one'), KEY);
    const again = await server.api.form(strategy, form(parts, 'two'), { 'Idempotency-Key': 'one' });
    expect([again.status, again.body.id, again.headers.get('location')]).toEqual([
      first.status,
      first.body.id,
      first.headers.get('location'),
    ]);
    expect(await storedFiles(server.dir)).toHaveLength(1);
  },
);

test.each([
  ['other bytes', { value: 'HELLO' }, {}],
  ['another name', { filename: 'b.txt' }, {}],
  ['another type', { type: 'text/csv' }, {}],
  ['other metadata', {}, { metadata: '{"a":"c"}' }],
])('%s under the same key are refused; the first upload stays as it is', async (_, part, fields) => {
  const send = (file: object, values: object) =>
    server.api.form(
      'direct',
      fileForm('hello', { metadata: '{"a":"b"}', ...values }, { filename: 'a.txt', type: 'text/plain', ...file }),
      KEY,
    );
  const first = await send({}, {});
  const other = await send(part, fields);
  expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
  expect(await server.api.content(first.body.id)).toBe('hello');
  expect(await storedFiles(server.dir)).toHaveLength(1);
  expect((await send({}, {})).body.id).toBe(first.body.id);
});

test('the same key on another route is another request', async () => {
  await server.api.raw('direct', 'hello', { headers: KEY });
  expect((await server.api.raw('relay', 'hello', { headers: KEY })).body.code).toBe('idempotency_key_reused');
});

test('while the first body is arriving the second request is told to wait; when its client goes away the key is free', async () => {
  const { port, api } = server;
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/v1/uploads/direct', { ...KEY, 'Content-Length': 10, Expect: '100-continue' }));
  await connection.until((text) => text.includes('100 Continue'));
  const busy = await api.raw('direct', 'hello', { headers: KEY });
  expect([busy.status, busy.body.code]).toEqual([409, 'idempotency_in_progress']);
  expect(Number(busy.headers.get('retry-after'))).toBeGreaterThan(0);
  connection.close();
  for (;;) {
    const { status } = await api.raw('direct', 'hello', { headers: KEY });
    if (status === 201) break;
    expect(status).toBe(409);
  }
});

test('a refused upload does not use up its key', async () => {
  const refused = await server.api.raw('direct', '%PDF-1.7', { type: 'image/png', headers: KEY });
  expect(refused.body.code).toBe('content_mismatch');
  expect((await server.api.raw('direct', '%PDF-1.7', { type: 'application/pdf', headers: KEY })).status).toBe(201);
});
