import { afterEach, describe, expect, test } from '@jest/globals';
import { type Bytes, follow, type LinkView } from '../../support/api-client.ts';
import { eventually } from '../../support/eventually.ts';
import { form } from '../../support/form.ts';
import { expectNoLeftovers } from '../../support/leftovers.ts';
import { head, RawConnection } from '../../support/raw-http.ts';
import { embeddedOnly } from '../../support/server-under-test.ts';
import { useServer } from '../../support/suite.ts';

const suite = useServer({ UPLOAD_IDLE_SECONDS: '1', SINGLE_PART_BYTES: '1MiB', PART_BYTES: '5MiB' });
afterEach(() => expectNoLeftovers(suite));

const BYTES = 'link bytes';

async function link(method: 'PUT' | 'POST' = 'PUT'): Promise<{ id: string; request: LinkView }> {
  const { body } = await suite.api.presign({ size: BYTES.length, contentType: 'text/plain', method });
  return { id: body.upload.id, request: body.request };
}

/** The upload is as if nothing had been sent. */
async function expectUntouched(id: string): Promise<void> {
  const answer = await suite.api.complete(id);
  expect([answer.status, answer.body.code]).toEqual([409, 'not_uploaded']);
  await eventually(async () => expect((await suite.server.storedFiles()).filter((path) => path.includes(id))).toEqual([]));
}

/** Each query parameter with one character changed, and each left out. */
function alterations(url: string): string[] {
  const { searchParams } = new URL(url);
  return [...searchParams.keys()].flatMap((name) => {
    const [changed, without, twice] = [new URL(url), new URL(url), new URL(url)];
    const value = searchParams.get(name) ?? '';
    changed.searchParams.set(
      name,
      value.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
    );
    without.searchParams.delete(name);
    twice.searchParams.append(name, value === '1' ? '2' : '1');
    return [changed, without, twice].map(String);
  });
}

describe('a signed PUT', () => {
  embeddedOnly('S3 has refusals of its own kind', () => {
    test('that was altered anywhere is refused', async () => {
      const { id, request } = await link();
      const other = await link();
      const path = new URL(request.url).pathname;
      const urls = [
        ...alterations(request.url),
        request.url.replace(path, new URL(other.request.url).pathname),
        request.url.replace('/staging/', '/files/'),
        request.url.replace(path, `${path}/x`),
        request.url.replace(path, `${path}/../x`),
        request.url.split('?')[0] ?? '',
      ];
      for (const url of urls) {
        const answer = await fetch(url, { method: 'PUT', headers: request.headers, body: BYTES });
        expect([url, answer.status]).toEqual([url, expect.any(Number)]);
        expect([400, 403, 404]).toContain(answer.status);
        expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      }
      await expectUntouched(id);
      await expectUntouched(other.id);
    });
  });

  test.each(['GET', 'POST', 'DELETE', 'HEAD', 'PATCH'])('is no leave to %s', async (method) => {
    const { id, request } = await link();
    const answer = await fetch(request.url, {
      method,
      headers: request.headers,
      ...(method === 'GET' || method === 'HEAD' ? {} : { body: BYTES }),
    });
    expect([403, 405]).toContain(answer.status);
    await expectUntouched(id);
  });

  test('takes no other size', async () => {
    for (const bytes of ['', 'short', `${BYTES} and more`]) {
      const { id, request } = await link();
      const answer = await follow(request, bytes);
      expect([bytes, answer.ok]).toEqual([bytes, false]);
      await expectUntouched(id);
    }
  });

  test('takes no other type', async () => {
    const { id, request } = await link();
    const answer = await fetch(request.url, { method: 'PUT', headers: { ...request.headers, 'Content-Type': 'text/html' }, body: BYTES });
    expect(answer.status).toBe(403);
    await expectUntouched(id);
  });

  test('needs a length', async () => {
    const { id, request } = await link();
    const answer = await fetch(request.url, {
      method: 'PUT',
      headers: request.headers,
      body: new Blob([BYTES]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(answer.ok).toBe(false);
    expect([403, 411]).toContain(answer.status);
    await expectUntouched(id);
  });

  embeddedOnly('S3 waits as long as it likes', () => {
    test('that breaks off, or stops, leaves nothing', async () => {
      for (const way of ['breaks off', 'stops']) {
        const { id, request } = await link();
        const { pathname, search } = new URL(request.url);
        const connection = new RawConnection(suite.server.port);
        await connection.write(
          head(suite.server.port, 'PUT', `${pathname}${search}`, { ...request.headers, 'Content-Length': BYTES.length }),
        );
        await connection.write(BYTES.slice(0, 4));
        if (way === 'stops') expect((await connection.answer()).status).toBe(408);
        connection.close();
        await connection.closed;
        await expectUntouched(id);
      }
    });
  });

  test('is no leave to read what was sent', async () => {
    const { id, request } = await link();
    expect((await follow(request, BYTES)).ok).toBe(true);
    const { pathname } = new URL(request.url);
    for (const url of [request.url, `${suite.server.url}${pathname}`, `${suite.server.url}${pathname.replace('staging', 'files')}`]) {
      const answer = await fetch(url);
      expect(answer.ok).toBe(false);
      expect(await answer.text()).not.toContain(BYTES);
    }
    expect((await suite.api.complete(id)).status).toBe(200);
  });
});

describe('a signed POST', () => {
  const post = (
    request: LinkView,
    change: (fields: [string, string][]) => [string, string][],
    bytes: string = BYTES,
    after: [string, string][] = [],
  ) => {
    const parts = change(Object.entries(request.fields ?? {})).map(([name, value]) => ({ name, value }));
    const body = form([
      ...parts,
      { name: 'file', filename: 'f', type: 'text/plain', value: bytes },
      ...after.map(([name, value]) => ({ name, value })),
    ]);
    return fetch(request.url, { method: 'POST', headers: { ...request.headers, 'Content-Type': body.contentType }, body: body.body });
  };

  test('with a field changed or left out is refused', async () => {
    const { id, request } = await link('POST');
    for (const name of Object.keys(request.fields ?? {})) {
      for (const change of [
        (fields: [string, string][]) => fields.filter(([field]) => field !== name),
        (fields: [string, string][]): [string, string][] =>
          fields.map(([field, value]) => [field, field === name ? value.replace(/.$/, (last) => (last === '0' ? '1' : '0')) : value]),
      ]) {
        const answer = await post(request, change);
        expect([name, answer.ok]).toEqual([name, false]);
      }
    }
    await expectUntouched(id);
  });

  test('takes no other size, and no second file', async () => {
    for (const bytes of ['', 'short', `${BYTES} and more`]) {
      const { id, request } = await link('POST');
      expect([bytes, (await post(request, (fields) => fields, bytes)).ok]).toEqual([bytes, false]);
      await expectUntouched(id);
    }
  });

  test.each([
    ['no form at all', 'text/plain', BYTES],
    ['an empty form', 'multipart/form-data; boundary=b', '--b--\r\n'],
  ])('with %s is refused', (_, contentType, body) => expectRefused(contentType, body));

  embeddedOnly('S3 servers may call it their own failure', () => {
    test('with a form that does not end is refused', () =>
      expectRefused('multipart/form-data; boundary=b', '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nlink'));
  });

  async function expectRefused(contentType: string, body: string): Promise<void> {
    const { id, request } = await link('POST');
    const answer = await fetch(request.url, { method: 'POST', headers: { 'Content-Type': contentType }, body });
    expect(answer.ok).toBe(false);
    expect(answer.status).toBeLessThan(500);
    await expectUntouched(id);
  }
});

describe('a signed part', () => {
  embeddedOnly('S3 servers differ in what they do with a parameter that is there twice', () => {
    test('is good for its number, size and upload only', async () => {
      const size = 5 * 1024 ** 2 + 10;
      const [one, two] = [(await suite.api.presign({ size })).body.upload.id, (await suite.api.presign({ size })).body.upload.id];
      const { body } = await suite.api.json('POST', `/v1/uploads/${one}/parts`, { partNumbers: [1, 2] });
      const [first, second] = body.parts;
      const tail = Buffer.alloc(10, 'x') as Bytes;
      const urls = [first?.url ?? '', ...alterations(second?.url ?? ''), (second?.url ?? '').replaceAll(one, two)];
      for (const url of urls) {
        const answer = await fetch(url, { method: 'PUT', headers: second?.headers ?? {}, body: tail });
        expect([url, answer.ok]).toEqual([url, false]);
        expect(answer.status).toBeLessThan(500);
      }
      expect((await fetch(second?.url ?? '', { method: 'PUT', headers: second?.headers ?? {}, body: tail })).ok).toBe(true);
      expect((await suite.api.get(`/v1/uploads/${one}/parts`)).body.parts.map(({ partNumber }) => partNumber)).toEqual([2]);
      expect((await suite.api.get(`/v1/uploads/${two}/parts`)).body.parts).toEqual([]);
      for (const id of [one, two]) await suite.api.send('DELETE', `/v1/uploads/${id}`);
    });
  });
});
