import { describe, expect, test } from '@jest/globals';
import { type Answer, ApiClient, follow } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { form } from '../support/form.ts';
import { allIds, expectNoLeftovers } from '../support/leftovers.ts';
import { sha256Of } from '../support/random-file.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { ownServerOnly, startServer } from '../support/server-under-test.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();
const key = (value: string): Record<string, string> => ({ 'Idempotency-Key': value });

describe.each(['direct', 'relay'] as const)('the same Idempotency-Key again (%s)', (strategy) => {
  const send = (bytes: string, name: string, more: object = {}): Promise<Answer> =>
    suite.api.raw(strategy, bytes, { type: 'text/plain', headers: key(`${strategy}-${name}`), ...more });

  test('and the same request gives the same upload', async () => {
    const first = await send('once', 'same');
    await suite.api.settled(first.body.id);
    const second = await send('once', 'same');
    expect(second.status).toBe(first.status);
    expect(second.body.id).toBe(first.body.id);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect((await allIds(suite.api)).filter((id) => id === first.body.id)).toHaveLength(1);
    await expectNoLeftovers(suite);
  });

  test('in quotes, as the draft has it, is the same key', async () => {
    const first = await send('quoted', 'quoted');
    const second = await suite.api.raw(strategy, 'quoted', { type: 'text/plain', headers: key(`"${strategy}-quoted"`) });
    expect(second.body.id).toBe(first.body.id);
  });

  test('and a form with another boundary gives the same upload', async () => {
    const parts = [
      { name: 'metadata', value: '{"a":"1"}' },
      { name: 'file', filename: 'a.txt', type: 'text/plain', value: 'same bytes' },
    ];
    const first = await suite.api.form(strategy, form(parts, 'first-boundary'), key(`${strategy}-form`));
    const second = await suite.api.form(strategy, form(parts, 'another-boundary'), key(`${strategy}-form`));
    expect(first.status).toBeLessThan(300);
    expect(second.status).toBe(first.status);
    expect(second.body.id).toBe(first.body.id);
    await expectNoLeftovers(suite);
  });

  test('and another request is refused', async () => {
    await send('original', 'other', { query: { metadata: '{"a":"1"}' } });
    const others = [
      await send('different', 'other', { query: { metadata: '{"a":"1"}' } }),
      await send('original', 'other', { query: { metadata: '{"a":"2"}' } }),
      await send('original', 'other', { query: { metadata: '{"a":"1"}' }, type: 'text/html' }),
      await suite.api.raw(strategy === 'direct' ? 'relay' : 'direct', 'original', {
        type: 'text/plain',
        headers: key(`${strategy}-other`),
        query: { metadata: '{"a":"1"}' },
      }),
      await suite.api.presign({ size: 8 }, key(`${strategy}-other`)),
    ];
    expect(others.map(({ status, body }) => [status, body.code])).toEqual(others.map(() => [422, 'idempotency_key_reused']));
    await expectNoLeftovers(suite);
  });

  test('while the first still runs is told to wait, and finds its upload afterwards', async () => {
    const { port } = suite.server;
    const connection = new RawConnection(port);
    const headers = { 'Content-Type': 'text/plain', 'Content-Length': 5, ...key(`${strategy}-running`), Expect: '100-continue' };
    await connection.write(head(port, 'POST', `/v1/uploads/${strategy}`, headers));
    await connection.until((text) => text.includes('100 Continue'));
    await connection.write('sl');
    const meanwhile = await send('slow!', 'running');
    expect([meanwhile.status, meanwhile.body.code]).toEqual([409, 'idempotency_in_progress']);
    expect(Number(meanwhile.headers.get('retry-after'))).toBeGreaterThan(0);
    await connection.write('ow!');
    const first = await connection.answer();
    connection.close();
    expect((await send('slow!', 'running')).body.id).toBe(JSON.parse(first.body).id);
  });

  test('after a failure is free again', async () => {
    const failed = await send('bytes', 'failed', { query: { sha256: sha256Of('other bytes') } });
    expect([failed.status, failed.body.code]).toEqual([400, 'digest_mismatch']);
    expect((await send('bytes', 'failed')).status).toBeLessThan(300);
  });

  test('after the client went away in mid-body is free again', async () => {
    const { port } = suite.server;
    const connection = new RawConnection(port);
    await connection.write(
      head(port, 'POST', `/v1/uploads/${strategy}`, { 'Content-Type': 'text/plain', 'Content-Length': 50, ...key(`${strategy}-gone`) }),
    );
    await connection.write('half of it');
    connection.close();
    const answer = await eventually(async () => {
      const again = await send('whole', 'gone');
      expect(again.status).toBeLessThan(300);
      return again;
    });
    expect(answer.body.size).toBe(5);
  });

  test('twenty times at once makes one upload', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => send('burst', 'burst')));
    const made = answers.filter(({ status }) => status < 300);
    expect(new Set(made.map(({ body }) => body.id)).size).toBe(1);
    for (const { status, body } of answers.filter((answer) => answer.status >= 300))
      expect([status, body.code]).toEqual([409, 'idempotency_in_progress']);
    await expectNoLeftovers(suite);
  });
});

test('a presigned upload asked for again is the same upload with links signed afresh', async () => {
  const order = { size: 4, filename: 'a.txt', metadata: { a: '1' } };
  const first = await suite.api.presign(order, key('presign'));
  const second = await suite.api.presign(order, key('presign'));
  expect([first.status, second.status]).toEqual([201, 201]);
  expect(second.body.upload.id).toBe(first.body.upload.id);
  expect((await follow(second.body.request, 'both')).ok).toBe(true);
  expect((await suite.api.complete(first.body.upload.id)).status).toBe(200);
  const other = await suite.api.presign({ ...order, size: 5 }, key('presign'));
  expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
  const reordered = await suite.api.json(
    'POST',
    '/v1/uploads/presign',
    { metadata: { a: '1' }, size: 4, contentType: 'application/octet-stream', filename: 'a.txt' },
    key('presign'),
  );
  expect([reordered.status, reordered.body.upload.id]).toEqual([201, first.body.upload.id]);
});

test.each(['""', '" "', 'x'.repeat(256), 'with space', '"unclosed', 'gr\u00fc\u00dfe'])('a malformed key %j is refused', async (value) => {
  const answer = await suite.api.raw('direct', 'x', { headers: key(value) });
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
});

ownServerOnly('it is killed', () => {
  test('a crash in mid-request frees the key after a lease', async () => {
    await using server = await startServer({ LEASE_SECONDS: '1' });
    const connection = new RawConnection(server.port);
    await connection.write(
      head(server.port, 'POST', '/v1/uploads/direct', {
        'Content-Type': 'text/plain',
        'Content-Length': 50,
        ...key('crash'),
        Expect: '100-continue',
      }),
    );
    await connection.until((text) => text.includes('100 Continue'));
    await connection.write('half');
    await server.kill();
    connection.close();
    await using again = await server.restart();
    const api = new ApiClient(again.url);
    const { body } = await eventually(async () => {
      const answer = await api.raw('direct', 'whole', { type: 'text/plain', headers: key('crash') });
      expect(answer.status).toBe(201);
      return answer;
    });
    expect(await api.content(body.id)).toBe('whole');
  });
});
