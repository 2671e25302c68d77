import { afterEach, describe, expect, test } from '@jest/globals';
import { fileForm, form, partHead } from '../../support/form.ts';
import { expectNoLeftovers } from '../../support/leftovers.ts';
import { RandomFile } from '../../support/random-file.ts';
import { head, RawConnection } from '../../support/raw-http.ts';
import { useServer } from '../../support/suite.ts';

const suite = useServer({ UPLOAD_IDLE_SECONDS: '1', MAX_UPLOAD_BYTES: '1MiB' });
const FORM = 'multipart/form-data; boundary=b';

/** What was not acknowledged leaves nothing behind, and the server still answers. */
afterEach(() => expectNoLeftovers(suite));

async function open(path: string, headers: Record<string, string | number>): Promise<RawConnection> {
  const connection = new RawConnection(suite.server.port);
  await connection.write(head(suite.server.port, 'POST', path, headers));
  return connection;
}

describe.each(['direct', 'relay'])('a hostile body (%s)', (strategy) => {
  const path = `/v1/uploads/${strategy}`;

  test.each(['raw', 'form'])('that ends before its Content-Length is over leaves nothing (%s)', async (kind) => {
    const { body, contentType } = fileForm('half of it');
    const connection = await open(path, {
      'Content-Type': kind === 'raw' ? 'text/plain' : contentType,
      'Content-Length': body.length + 1000,
    });
    await connection.write(body);
    connection.socket.end();
    await connection.ended();
    expect(connection.text).not.toMatch(/^HTTP\/1.1 2/);
    connection.close();
  });

  test.each(['raw', 'form'])('whose client vanishes leaves nothing (%s)', async (kind) => {
    const { body, contentType } = fileForm('half of it');
    const connection = await open(path, {
      'Content-Type': kind === 'raw' ? 'text/plain' : contentType,
      'Content-Length': body.length + 1000,
      Expect: '100-continue',
    });
    await connection.until((text) => text.includes('100 Continue'));
    await connection.write(body);
    connection.socket.resetAndDestroy();
    await connection.closed;
  });

  test('that is longer than its Content-Length is cut there, or refused', async () => {
    const connection = await open(path, { 'Content-Type': 'text/plain', 'Content-Length': 5 });
    await connection.write('12345 and more');
    const answer = await connection.answer();
    if (answer.status < 300) expect(JSON.parse(answer.body).size).toBe(5);
    else expect(answer.status).toBe(400);
    connection.close();
    const sizes = (await suite.api.get('/v1/uploads?limit=200')).body.items.map(({ size }) => size);
    expect(sizes).not.toContain('12345 and more'.length);
  });

  test.each(['raw', 'form'])('that pauses too long is given up, with an answer (%s)', async (kind) => {
    const { body, contentType } = fileForm('slow');
    const connection = await open(path, {
      'Content-Type': kind === 'raw' ? 'text/plain' : contentType,
      'Content-Length': body.length + 1000,
    });
    await connection.write(body.subarray(0, body.length - 20));
    const answer = await connection.answer();
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([408, 'upload_timeout']);
    connection.close();
  });

  test('that trickles in is given up, with an answer', async () => {
    const connection = await open(path, { 'Content-Type': 'text/plain', 'Content-Length': 1000 });
    const trickle = setInterval(() => void connection.write('x'), 100);
    const answer = await connection.answer().finally(() => clearInterval(trickle));
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([408, 'upload_timeout']);
    connection.close();
  });

  test.each(['raw', 'form'])('without an end is refused at the limit (%s)', async (kind) => {
    const connection = await open(path, { 'Content-Type': kind === 'raw' ? 'text/plain' : FORM, 'Transfer-Encoding': 'chunked' });
    const chunk = (bytes: Uint8Array | string): Buffer =>
      Buffer.concat([Buffer.from(`${Buffer.byteLength(bytes).toString(16)}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')]);
    if (kind === 'form')
      await connection.write(chunk(`--b\r\n${partHead({ name: 'file', filename: 'a', type: 'text/plain', value: '' })}\r\n\r\n`));
    const endless = (async () => {
      const file = new RandomFile(64 * 1024, 'endless');
      while (!connection.over) await connection.write(chunk(await file.bytes()));
    })();
    const answer = await connection.answer();
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([413, 'too_large']);
    await endless;
    connection.close();
  });

  test.each([
    ['that is not hex', 'zz\r\n'],
    ['larger than any number', 'ffffffffffffffffff\r\n'],
    ['negative', '-1\r\n'],
  ])('with a chunk size %s is refused', async (_, size) => {
    const connection = await open(path, { 'Content-Type': 'text/plain', 'Transfer-Encoding': 'chunked' });
    await connection.write(size);
    await connection.ended();
    expect(connection.text).not.toMatch(/^HTTP\/1.1 2/);
    connection.close();
  });

  test.each(['gzip', 'br', 'x-unknown'])('in a Content-Encoding (%s) is refused, not stored as something else', async (encoding) => {
    const answer = await suite.api.send('POST', path, {
      headers: { 'Content-Type': 'text/plain', 'Content-Encoding': encoding },
      body: 'x',
    });
    expect([400, 415]).toContain(answer.status);
  });
});

describe.each(['direct', 'relay'] as const)('a hostile form (%s)', (strategy) => {
  const file = { name: 'file', filename: 'a.txt', type: 'text/plain', value: 'x' };
  const many = (count: number, part: (n: number) => { name: string; value: string }) =>
    form([...Array.from({ length: count }, (_, n) => part(n)), file]);

  test.each([
    ['thousands of fields', many(5000, (n) => ({ name: `f${n}`, value: 'x' }))],
    ['one field thousands of times', many(5000, () => ({ name: 'metadata', value: '{}' }))],
    ['a field twice', many(2, () => ({ name: 'sha256', value: 'x' }))],
    ['a huge field', many(1, () => ({ name: 'metadata', value: `{"a":"${'x'.repeat(3_000_000)}"}` }))],
    ['a field with a huge name', many(1, () => ({ name: 'n'.repeat(500_000), value: 'x' }))],
    ['a prototype for a field', many(1, () => ({ name: '__proto__', value: 'x' }))],
    ['a nested prototype for a field', many(1, () => ({ name: 'metadata[__proto__][x]', value: 'x' }))],
    [
      'a part with a thousand headers',
      form([
        {
          ...file,
          headers: [
            'Content-Disposition: form-data; name="file"; filename="a"',
            ...Array.from({ length: 1000 }, (_, n) => `X-${n}: ${'y'.repeat(100)}`),
          ],
        },
      ]),
    ],
    [
      'a part with one huge header',
      form([{ ...file, headers: [`Content-Disposition: form-data; name="file"; filename="a"`, `X: ${'y'.repeat(200_000)}`] }]),
    ],
    ['a part without a name', form([{ ...file, headers: ['Content-Disposition: form-data; filename="a"'] }])],
    ['a part without headers', form([{ ...file, headers: [''] }])],
    ['two thousand files', form(Array.from({ length: 2000 }, () => file))],
    ['a file as a field', form([{ name: 'metadata', filename: 'a', type: 'application/json', value: '{}' }, file])],
  ])('with %s is refused', async (_, body) => {
    const answer = await suite.api.form(strategy, body);
    expect([400, 413, 431]).toContain(answer.status);
    expect(answer.body.code).toEqual(expect.any(String));
  });

  test.each([
    ['no boundary', 'multipart/form-data', '--b\r\n\r\n'],
    ['an empty boundary', 'multipart/form-data; boundary=', '----\r\n\r\n'],
    ['a boundary that never comes', FORM, 'x'.repeat(10_000)],
    ['nothing in it', FORM, ''],
    ['only its end', FORM, '--b--\r\n'],
    ['a part that does not end', FORM, '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbytes'],
    ['a part whose head does not end', FORM, '--b\r\nContent-Disposition: form-data; name="file"'],
    ['a boundary that is cut', FORM, '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbytes\r\n--'],
  ])('with %s is refused', async (_, contentType, body) => {
    const answer = await suite.api.form(strategy, { contentType, body });
    expect([400, 415]).toContain(answer.status);
    expect(answer.body.code).toEqual(expect.any(String));
  });

  test.each([
    '../../../../etc/passwd',
    '..%2f..%2fetc%2fpasswd',
    '/absolute/path',
    'C:\\windows\\win.ini',
    '....//....//x',
    'nul\0byte',
    'tab\tand\u0007bell',
    '.htaccess',
    '..',
    'x'.repeat(5000),
    '%00%0d%0aSet-Cookie: a=b',
    '\u202Egnp.exe',
    '\xff\xfe',
  ])('with the file name %j takes the bytes or refuses them, and the name is only a name', async (filename) => {
    const answer = await suite.api.form(strategy, fileForm('named', {}, { filename }));
    if (answer.status >= 300) return void expect([400, 413, 431]).toContain(answer.status);
    const upload = await suite.api.settled(answer.body.id);
    expect(upload.filename).not.toMatch(/[/\\\p{Cc}]/u);
    expect(upload.filename.length).toBeGreaterThan(0);
    expect(upload.location?.key).toMatch(/^files\/default\/[0-9a-f]{2}\/[0-9a-f-]{36}$/);
    const { headers } = await suite.api.get(`/v1/uploads/${upload.id}/content`);
    expect(headers.get('content-disposition')).toMatch(/^attachment/);
    expect(headers.get('set-cookie')).toBeNull();
  });
});

test('slow heads of requests hold up nobody else', async () => {
  const slow = Array.from({ length: 100 }, () => new RawConnection(suite.server.port));
  for (const connection of slow) await connection.write('GET /v1/uploads HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
  expect((await suite.api.raw('direct', 'quick')).status).toBe(201);
  for (const connection of slow) connection.close();
});

test('a hundred clients that break off at once leave nothing', async () => {
  const connections = await Promise.all(
    Array.from({ length: 100 }, (_, n) =>
      open(`/v1/uploads/${n % 2 ? 'direct' : 'relay'}`, { 'Content-Type': 'text/plain', 'Content-Length': 100_000 }),
    ),
  );
  await Promise.all(connections.map((connection) => connection.write('x'.repeat(50_000))));
  for (const [n, connection] of connections.entries()) n % 3 ? connection.close() : connection.socket.resetAndDestroy();
  expect((await suite.api.raw('direct', 'still here')).status).toBe(201);
});
