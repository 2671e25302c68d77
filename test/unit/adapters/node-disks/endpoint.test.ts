import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { signRequest } from '../../../../src/adapters/node-disks/signature.ts';
import { newKey } from '../../../support/samples.ts';
import { NODE, PeerRig, SECRET } from './peer-rig.ts';

const MINUTE = 60_000;
let rig: PeerRig;
beforeAll(async () => {
  rig = await PeerRig.open();
});
afterAll(() => rig.close());

interface Asked {
  method?: string;
  /** As it goes over the line: not put in order as `fetch` would. */
  path: string;
  authorization?: string | null;
  headers?: Record<string, string>;
}

/** Signed as it should be, unless told otherwise. */
async function ask({
  method = 'GET',
  path,
  authorization,
  headers = {},
}: Asked): Promise<{ status: number; body: string; headers: object }> {
  const signature = authorization === undefined ? signRequest(SECRET, { node: NODE, method, path }, Date.now()) : authorization;
  const { hostname, port } = new URL(rig.url);
  const sending = request({
    hostname,
    port,
    method,
    path,
    headers: { ...headers, ...(signature === null ? {} : { authorization: signature }) },
  });
  sending.end();
  const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) =>
    sending.on('response', resolve).on('error', reject),
  );
  return { status: answer.statusCode ?? 0, body: await text(answer), headers: answer.headers };
}

describe('what is not signed by a server of ours', () => {
  const wrong: [string, (method: string, path: string) => string | null][] = [
    ['without a signature', () => null],
    ['with a token of a client', () => 'Bearer 0123456789abcdef'],
    ['signed with another secret', (method, path) => signRequest(`${SECRET}.`, { node: NODE, method, path }, Date.now())],
    ['signed with an empty secret', (method, path) => signRequest('', { node: NODE, method, path }, Date.now())],
    ['signed six minutes ago', (method, path) => signRequest(SECRET, { node: NODE, method, path }, Date.now() - 6 * MINUTE)],
    ['signed for six minutes from now', (method, path) => signRequest(SECRET, { node: NODE, method, path }, Date.now() + 6 * MINUTE)],
    ['signed for another method', (_method, path) => signRequest(SECRET, { node: NODE, method: 'OPTIONS', path }, Date.now())],
    ['signed for another server', (method, path) => signRequest(SECRET, { node: 'another', method, path }, Date.now())],
    ['signed for another file', (method, path) => signRequest(SECRET, { node: NODE, method, path: `${path}0` }, Date.now())],
    [
      'signed for the other area',
      (method, path) => signRequest(SECRET, { node: NODE, method, path: path.replace('direct', 'spool') }, Date.now()),
    ],
    [
      'with a newer time than was signed',
      (method, path) =>
        signRequest(SECRET, { node: NODE, method, path }, Date.now() - 6 * MINUTE).replace(/time=\d+/, `time=${Date.now()}`),
    ],
    ['with something behind the signature', (method, path) => `${signRequest(SECRET, { node: NODE, method, path }, Date.now())}, more`],
    ['with one sign of the signature changed', (method, path) => altered(signRequest(SECRET, { node: NODE, method, path }, Date.now()))],
  ];
  const altered = (header: string): string => header.replace(/signature=(.)/, (_all, first) => `signature=${first === 'A' ? 'B' : 'A'}`);

  test.each(wrong)('%s is 401 and changes nothing', async (_what, sign) => {
    const key = await rig.put(Buffer.from('secret bytes'));
    const path = `/internal/direct/${key}`;
    for (const method of ['GET', 'HEAD', 'DELETE']) {
      const { status, body } = await ask({ method, path, authorization: sign(method, path) });
      expect([method, status]).toEqual([method, 401]);
      expect(body).not.toContain('secret bytes');
    }
    expect(await rig.direct.stat(key)).toMatchObject({ size: 12 });
  });

  test('is told nothing about which files there are', async () => {
    const there = await ask({ path: `/internal/direct/${await rig.put(Buffer.from('x'))}`, authorization: null });
    const absent = await ask({ path: `/internal/direct/${newKey()}`, authorization: null });
    expect(there.body).toBe(absent.body);
  });

  test('a clock that is four minutes off is put up with', async () => {
    const path = `/internal/direct/${await rig.put(Buffer.from('x'))}`;
    for (const off of [-4 * MINUTE, 4 * MINUTE]) {
      const { status } = await ask({ path, authorization: signRequest(SECRET, { node: NODE, method: 'GET', path }, Date.now() + off) });
      expect(status).toBe(200);
    }
  });
});

describe('signed requests', () => {
  test.each([
    '/internal/direct/../spool/x',
    '/internal/direct/../../etc/passwd',
    '/internal/direct/%2e%2e/%2e%2e/etc/passwd',
    '/internal/direct/..%2f..%2fetc%2fpasswd',
    '/internal/direct//etc/passwd',
    '/internal/direct/files/.unfinished/x',
    '/internal/direct/.unfinished',
    '/internal/direct/files/a%00b',
    '/internal/direct/files\\..\\x',
    '/internal/direct/',
    '/internal/direct',
    '/internal/',
    '/internal/secrets/link.key',
    `/internal/direct/${'a/'.repeat(600)}a`,
  ])('%s is no file', async (path) => {
    for (const method of ['GET', 'HEAD', 'DELETE']) expect((await ask({ method, path })).status).toBe(404);
  });

  test.each(['POST', 'PATCH', 'OPTIONS'])('%s is not possible', async (method) => {
    const key = await rig.put(Buffer.from('x'));
    expect((await ask({ method, path: `/internal/direct/${key}` })).status).toBe(405);
    expect(await rig.direct.stat(key)).toMatchObject({ size: 1 });
  });

  test.each(['files/acme/ab/x', 'notes', 'spool/acme/02/0199f7a0-1c2e-7d3a-8b4c-5d6e7f809102'])(
    '%s is no direct file that could be written',
    async (key) => {
      expect((await ask({ method: 'PUT', path: `/internal/direct/${key}` })).status).toBe(404);
      expect(await rig.directFiles()).not.toContain(key.split('/').at(-1));
    },
  );

  test('nobody but the server itself writes to its spool', async () => {
    const key = newKey();
    expect((await ask({ method: 'PUT', path: `/internal/spool/${key}` })).status).toBe(405);
    expect(await rig.spool.stat(key)).toBeNull();
  });

  test('a range is answered with where it lies in the file, and stops at its end', async () => {
    const path = `/internal/direct/${await rig.put(Buffer.from('0123456789'))}`;
    const range = async (value: string) => ask({ path, headers: { Range: value } });
    expect(await range('bytes=2-4')).toMatchObject({
      status: 206,
      body: '234',
      headers: { 'content-range': 'bytes 2-4/10', 'content-length': '3' },
    });
    expect(await range('bytes=8-400')).toMatchObject({ status: 206, body: '89', headers: { 'content-range': 'bytes 8-9/10' } });
    for (const none of ['bytes=10-10', 'bytes=4-2', 'bytes=-3', 'bytes=3-', 'bytes=0-1,3-4', 'lines=1-2'])
      expect([none, (await range(none)).status]).toEqual([none, 416]);
  });

  test('HEAD tells what GET does, without the bytes', async () => {
    const key = await rig.put(Buffer.from('0123456789'));
    const path = `/internal/direct/${key}`;
    const [head, get] = [await ask({ method: 'HEAD', path }), await ask({ path })];
    const { modifiedAt } = (await rig.direct.stat(key)) ?? {};
    const told = { 'content-length': '10', 'x-modified-at': String(modifiedAt) };
    expect(head).toMatchObject({ status: 200, body: '', headers: told });
    expect(get).toMatchObject({ status: 200, body: '0123456789', headers: told });
  });

  test('DELETE says once that there was a file', async () => {
    const path = `/internal/direct/${await rig.put(Buffer.from('x'))}`;
    expect((await ask({ method: 'DELETE', path })).status).toBe(204);
    expect((await ask({ method: 'DELETE', path })).status).toBe(404);
  });
});
