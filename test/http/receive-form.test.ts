import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { storedFiles } from '../support/data-folder.ts';
import { eventually } from '../support/eventually.ts';
import { type FormPart, fileForm, form } from '../support/form.ts';
import { RandomFile, sha256Of } from '../support/random-file.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { startUploadServer, type UploadServer } from '../support/upload-server.ts';

const MIB = 1024 * 1024;
const PNG = Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0', 'latin1');
const file: FormPart = { name: 'file', filename: 'cat.txt', type: 'text/plain', value: 'hello' };

let server: UploadServer;
beforeAll(async () => {
  server = await startUploadServer({ MAX_UPLOAD_BYTES: '8MiB', MAX_JSON_BYTES: '2KiB' });
});
afterAll(() => server.close());

/** Sends the beginning of a form that never ends, and waits for the answer. */
async function begun(
  bytes: Uint8Array,
  contentType: string,
): Promise<{ status: number; problem: { code: string; errors?: { pointer: string }[] } }> {
  const { port } = server;
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/v1/uploads/relay', { 'Content-Type': contentType, 'Content-Length': 6 * MIB }));
  await connection.write(bytes);
  const { status, headers, body } = await connection.answer();
  expect(headers.get('connection')).toBe('close');
  connection.close();
  return { status, problem: JSON.parse(body) };
}

test('fields, then the file', async () => {
  const fields = { resourceType: 'post', resourceId: '42', metadata: '{"a":"b"}', sha256: sha256Of('hello') };
  const { status, body } = await server.api.form('direct', fileForm('hello', fields, { filename: 'катя 😀.txt', type: 'text/plain' }));
  expect(status).toBe(201);
  expect(body).toMatchObject({ filename: 'катя 😀.txt', contentType: 'text/plain', size: 5, sha256: sha256Of('hello') });
  expect(body).toMatchObject({ resource: { type: 'post', id: '42' }, metadata: { a: 'b' } });
});

test('what browsers and fetch send is understood', async () => {
  const data = new FormData();
  data.append('metadata', '{"from":"FormData"}');
  data.append('file', new File(['hello'], 'a "quoted" name.txt', { type: 'text/plain' }));
  const response = await fetch(`${server.api.base}/v1/uploads/relay`, { method: 'POST', body: data });
  expect([response.status, await response.json()]).toMatchObject([
    202,
    { filename: 'a "quoted" name.txt', metadata: { from: 'FormData' } },
  ]);
});

test('a file of many chunks comes out as it went in, boundary-like bytes included', async () => {
  const random = await new RandomFile(3 * MIB, 'form').bytes();
  const bytes = Buffer.concat([random, Buffer.from('\r\n--windlass-test-boundar\r\n-windlass-test-boundary--'), random]);
  const { status, body } = await server.api.form('relay', form([{ ...file, type: 'application/octet-stream', value: bytes }]));
  expect([status, body.size, body.sha256]).toEqual([202, bytes.length, sha256Of(bytes)]);
});

describe('the type of the file part', () => {
  const disposition = 'Content-Disposition: form-data; name="file"; filename="cat.png"';

  test('is not guessed when it is not given, nor held against the file', async () => {
    const { status, body } = await server.api.form('direct', form([{ name: 'file', value: PNG, headers: [disposition] }]));
    expect([status, body.contentType]).toEqual([201, 'application/octet-stream']);
  });

  test('text/plain that is given counts', async () => {
    const { status, body } = await server.api.form(
      'direct',
      form([{ name: 'file', value: PNG, headers: [disposition, 'content-TYPE:text/plain'] }]),
    );
    expect([status, body.code]).toEqual([422, 'content_mismatch']);
  });
});

describe('a form that is wrong is answered before the rest of it has come, and nothing is kept', () => {
  const opened = (parts: FormPart[]): { body: Buffer; contentType: string } => {
    const { body, contentType } = form(parts);
    return { body: body.subarray(0, body.lastIndexOf('\r\n--')), contentType };
  };
  const field = (name: string, value = 'x'): FormPart => ({ name, value });

  test.each<[string, FormPart[], number, string, string | undefined]>([
    ['an unknown field', [field('colour'), file], 400, 'invalid_request', '/colour'],
    ['a field twice', [field('sha256', sha256Of('')), field('sha256', sha256Of('')), file], 400, 'invalid_request', '/sha256'],
    ['half a resource', [field('resourceId'), file], 400, 'invalid_request', ''],
    ['metadata that is no JSON', [field('metadata', '{'), file], 400, 'invalid_request', '/metadata'],
    ['a field after the file', [file, field('metadata', '{}'), file], 400, 'invalid_request', '/metadata'],
    ['a second file', [file, file], 400, 'invalid_request', ''],
    ['a file part of another name', [{ ...file, name: 'attachment' }], 400, 'invalid_request', ''],
    ['a file without a filename', [field('file'), file], 400, 'invalid_request', '/file'],
    ['a type longer than any', [{ ...file, type: `image/${'x'.repeat(300)}` }], 400, 'invalid_request', '/file'],
    ['a type with characters that no type has', [{ ...file, type: 'image/x|y' }], 400, 'invalid_request', '/file'],
    ['no file chosen', [{ ...file, filename: '', type: 'application/octet-stream' }], 400, 'invalid_request', '/file'],
    ['too long a name', [field('n'.repeat(100)), file], 400, 'invalid_request', ''],
    ['too long a value', [field('metadata', 'v'.repeat(3000)), file], 413, 'too_large', undefined],
    ['too many fields', [...Array.from({ length: 30 }, (_, at) => field(`f${at}`)), file], 400, 'invalid_request', '/f0'],
    ['too many headers', [{ ...file, headers: Array.from({ length: 3000 }, (_, at) => `X-${at}: y`) }], 400, 'invalid_request', ''],
    ['a name for a prototype', [field('__proto__'), file], 400, 'invalid_request', '/__proto__'],
    ['another digest', [field('sha256', sha256Of('other')), file], 400, 'digest_mismatch', undefined],
    [
      'contradicting bytes',
      [{ ...file, type: 'image/jpeg', value: Buffer.concat([PNG, Buffer.alloc(9000)]) }],
      422,
      'content_mismatch',
      undefined,
    ],
  ])('%s', async (_, parts, status, code, pointer) => {
    const before = await storedFiles(server.dir);
    const { body, contentType } = opened([...parts, field('more')]);
    const answer = await begun(body, contentType);
    expect([answer.status, answer.problem.code, answer.problem.errors?.[0]?.pointer]).toEqual([status, code, pointer]);
    expect(await storedFiles(server.dir)).toEqual(before);
  });

  test('a file larger than the limit, of unknown length', async () => {
    const before = await storedFiles(server.dir);
    const { port } = server;
    const connection = new RawConnection(port);
    const { body, contentType } = form([{ ...file, value: Buffer.alloc(9 * MIB, 'x') }]);
    await connection.write(head(port, 'POST', '/v1/uploads/direct', { 'Content-Type': contentType, 'Transfer-Encoding': 'chunked' }));
    await connection.write(`${body.length.toString(16)}\r\n`);
    await connection.write(body);
    const { status, body: problem } = await connection.answer();
    expect([status, JSON.parse(problem)]).toEqual([413, expect.objectContaining({ code: 'too_large', limit: 8 * MIB })]);
    connection.close();
    expect(await storedFiles(server.dir)).toEqual(before);
  });

  test('what comes after the refusal is not parsed any more', async () => {
    const before = await storedFiles(server.dir);
    const { port } = server;
    const connection = new RawConnection(port);
    const { body, contentType } = form([field('colour'), field('more'), file]);
    const refusedAt = body.indexOf('name="more"');
    await connection.write(head(port, 'POST', '/v1/uploads/direct', { 'Content-Type': contentType, 'Content-Length': body.length }));
    await connection.write(body.subarray(0, refusedAt));
    expect((await connection.answer()).status).toBe(400);
    await connection.write(body.subarray(refusedAt));
    await connection.ended();
    connection.close();
    expect(await storedFiles(server.dir)).toEqual(before);
  });

  test('bytes without end before the first part', async () => {
    const { status, problem } = await begun(Buffer.alloc(5 * MIB, 'x'), form([]).contentType);
    expect([status, problem.code]).toEqual([413, 'too_large']);
  });
});

describe('a form that ends wrongly', () => {
  const whole = form([file]);
  const tooShort = (bytes: number): Buffer<ArrayBuffer> => whole.body.subarray(0, whole.body.length - bytes);

  test.each([
    ['without its last boundary', tooShort(30)],
    ['in the middle of its last boundary', tooShort(6)],
    ['in the middle of a header', whole.body.subarray(0, 50)],
    ['at once', whole.body.subarray(0, 0)],
    ['without a part', form([]).body],
    ['and is no form at all', Buffer.from('{"file": 1}')],
  ])('%s is refused and leaves nothing', async (_, body) => {
    const before = await storedFiles(server.dir);
    const answer = await server.api.form('relay', { contentType: whole.contentType, body });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    await eventually(async () => expect(await storedFiles(server.dir)).toEqual(before));
  });

  test('or names no boundary is refused', async () => {
    const answer = await server.api.form('direct', { contentType: 'multipart/form-data', body: whole.body });
    expect([answer.status, answer.body.errors[0]?.pointer]).toEqual([400, '/headers/content-type']);
  });

  test('or mixes fields with query parameters is refused', async () => {
    const answer = await server.api.send('POST', `/v1/uploads/direct?sha256=${sha256Of('hello')}`, {
      headers: { 'Content-Type': whole.contentType },
      body: whole.body,
    });
    expect([answer.status, answer.body.errors[0]?.pointer]).toEqual([400, '/query']);
  });

  test('because its client goes away leaves nothing', async () => {
    const before = await storedFiles(server.dir);
    const { port } = server;
    const connection = new RawConnection(port);
    await connection.write(head(port, 'POST', '/v1/uploads/direct', { 'Content-Type': whole.contentType, 'Content-Length': MIB }));
    await connection.write(tooShort(30));
    await eventually(async () => expect(await storedFiles(server.dir)).toHaveLength(before.length + 1));
    connection.close();
    await eventually(async () => expect(await storedFiles(server.dir)).toEqual(before));
  });
});
