import { describe, expect, test } from '@jest/globals';
import { fileForm } from '../support/form.ts';
import { expectNoLeftovers } from '../support/leftovers.ts';
import { RandomFile } from '../support/random-file.ts';
import { head, RawConnection, sendRaw } from '../support/raw-http.ts';
import { embeddedOnly } from '../support/server-under-test.ts';
import { useServer } from '../support/suite.ts';

const LIMIT = 64 * 1024;
const suite = useServer({
  MAX_UPLOAD_BYTES: String(LIMIT),
  ALLOWED_TYPES: 'image/*,text/plain,application/octet-stream',
  MAX_UPLOADS_IN_FLIGHT: '2',
});

describe.each(['direct', 'relay'] as const)('limits of %s uploads', (strategy) => {
  const path = `/v1/uploads/${strategy}`;

  test('a file of exactly the limit is taken, raw and as a form', async () => {
    const bytes = await new RandomFile(LIMIT, 'limit').bytes();
    expect((await suite.api.raw(strategy, bytes as Buffer<ArrayBuffer>)).status).toBeLessThan(300);
    expect((await suite.api.form(strategy, fileForm(bytes))).status).toBeLessThan(300);
  });

  test('a larger one is refused by its Content-Length before a byte was sent', async () => {
    const { port } = suite.server;
    const answer = await sendRaw(port, head(port, 'POST', path, { 'Content-Type': 'text/plain', 'Content-Length': LIMIT + 1 }));
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'too_large', limit: LIMIT });
  });

  test('one that asks first (Expect: 100-continue) is refused without being asked for its body', async () => {
    const { port } = suite.server;
    const connection = new RawConnection(port);
    await connection.write(head(port, 'POST', path, { 'Content-Type': 'text/plain', 'Content-Length': LIMIT + 1, Expect: '100-continue' }));
    expect((await connection.answer()).status).toBe(413);
    expect(connection.text).not.toContain('100 Continue');
    connection.close();
  });

  test('one that asks first and is welcome is asked for its body', async () => {
    const { port } = suite.server;
    const connection = new RawConnection(port);
    await connection.write(head(port, 'POST', path, { 'Content-Type': 'text/plain', 'Content-Length': 5, Expect: '100-continue' }));
    await connection.until((text) => text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
    await connection.write('hello');
    expect((await connection.answer()).status).toBe(strategy === 'direct' ? 201 : 202);
    connection.close();
  });

  test.each(['raw', 'form'])('one of unknown length is refused in mid-body, and leaves nothing (%s)', async (kind) => {
    const { body, contentType } = fileForm(await new RandomFile(LIMIT * 2, 'too large').bytes());
    const answer = await suite.api.send('POST', path, {
      headers: { 'Content-Type': kind === 'form' ? contentType : 'application/octet-stream' },
      body: new Blob([body]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(answer.status).toBe(413);
    expect(answer.body).toMatchObject({ code: 'too_large', limit: LIMIT });
    await expectNoLeftovers(suite);
  });

  test('a client that writes everything before it reads still gets to read the refusal', async () => {
    const { port } = suite.server;
    const size = 8 * 1024 ** 2;
    const connection = new RawConnection(port);
    connection.socket.pause();
    await connection.write(head(port, 'POST', path, { 'Content-Type': 'application/octet-stream', 'Content-Length': size }));
    for (const chunk of new RandomFile(size, 'writes first').chunks()) await connection.write(chunk);
    connection.socket.resume();
    expect((await connection.answer()).status).toBe(413);
    connection.close();
  });

  test('a type that is not allowed is refused, raw and as a form', async () => {
    const raw = await suite.api.raw(strategy, '%PDF', { type: 'application/pdf' });
    expect(raw.status).toBe(415);
    expect(raw.body).toMatchObject({ code: 'type_not_allowed', expected: ['image/*', 'text/plain', 'application/octet-stream'] });
    const formed = await suite.api.form(strategy, fileForm('%PDF', {}, { type: 'application/pdf' }));
    expect([formed.status, formed.body.code]).toEqual([415, 'type_not_allowed']);
  });

  embeddedOnly('the limit is that of one process', () => {
    test('one more body than may be in flight is told when to come back; those in flight are not disturbed', async () => {
      const { port } = suite.server;
      const running = [new RawConnection(port), new RawConnection(port)];
      for (const connection of running) {
        await connection.write(head(port, 'POST', path, { 'Content-Type': 'text/plain', 'Content-Length': 4, Expect: '100-continue' }));
        await connection.until((text) => text.includes('100 Continue'));
      }
      const refused = await suite.api.raw(strategy, 'x');
      expect([refused.status, refused.body.code]).toEqual([503, 'busy']);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      for (const connection of running) {
        await connection.write('done');
        expect((await connection.answer()).status).toBeLessThan(300);
        connection.close();
      }
      expect((await suite.api.raw(strategy, 'x')).status).toBeLessThan(300);
    });
  });
});

describe('limits of presigned uploads', () => {
  test('size and type are refused before a link is made', async () => {
    const large = await suite.api.presign({ size: LIMIT + 1 });
    expect([large.status, large.body.code, large.body.limit]).toEqual([413, 'too_large', LIMIT]);
    const type = await suite.api.presign({ size: 1, contentType: 'application/pdf' });
    expect([type.status, type.body.code]).toEqual([415, 'type_not_allowed']);
  });
});
