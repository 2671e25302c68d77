import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { connectS3, type S3Options } from '../../src/adapters/object-store/s3/connection.ts';
import { S3Presigner } from '../../src/adapters/object-store/s3/presigner.ts';
import { keyOf } from '../../src/core/keys.ts';
import type { PutTerms, SignedRequest } from '../../src/ports/presigner.ts';
import { eventually } from '../support/eventually.ts';
import { sha256Of } from '../support/random-file.ts';
import { type OpenedS3Store, openS3Store } from '../support/s3-store.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { withServers } from './with-servers.ts';

const NOW = Date.UTC(2026, 10, 24, 12, 0, 0, 900);
const KEY = keyOf('staging', 'acme', v7());
const BYTES = 'hello world';

const TERMS: PutTerms = { key: KEY, size: 11, contentType: 'text/plain', sha256: sha256Of(BYTES), expiresAt: NOW + 60_000 };

function presignerFor(options: Partial<S3Options> = {}, clock = () => NOW): S3Presigner {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the secret of the tests' };
  const here = { endpoint: 'http://minio:9000', publicEndpoint: null, pathStyle: true };
  return new S3Presigner({ connection: connectS3({ bucket: 'uploads', region: 'eu-central-1', credentials, ...here, ...options }), clock });
}

const queryOf = ({ url }: SignedRequest): Record<string, string> => Object.fromEntries(new URL(url).searchParams);

describe('what an S3 link is signed for', () => {
  test('a PUT: size, type and digest as headers, and nothing about a body that is not there yet', async () => {
    const link = await presignerFor().put(TERMS);
    expect(queryOf(link)).toEqual({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD',
      'X-Amz-Credential': 'AKIDEXAMPLE/20261124/eu-central-1/s3/aws4_request',
      'X-Amz-Date': '20261124T120000Z',
      'X-Amz-Expires': '60',
      'X-Amz-SignedHeaders': 'content-length;content-type;host;x-amz-checksum-sha256',
      'X-Amz-Signature': expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const checksum = Buffer.from(TERMS.sha256 ?? '', 'hex').toString('base64');
    expect(link.headers).toEqual({ 'Content-Type': 'text/plain', 'x-amz-checksum-sha256': checksum });
  });

  test('a PUT without a declared digest', async () => {
    const link = await presignerFor().put({ ...TERMS, sha256: null });
    expect(queryOf(link)['X-Amz-SignedHeaders']).toBe('content-length;content-type;host');
    expect(link.headers).toEqual({ 'Content-Type': 'text/plain' });
  });

  test('a part: its size, number and multipart upload', async () => {
    const link = await presignerFor().part({ key: KEY, multipartId: 'an+id/=', partNumber: 7, size: 5, expiresAt: TERMS.expiresAt });
    expect(queryOf(link)).toMatchObject({ partNumber: '7', uploadId: 'an+id/=', 'X-Amz-SignedHeaders': 'content-length;host' });
    expect(link.headers).toEqual({});
  });

  test('a form: exact key, size, type and digest, and no more fields than conditions', async () => {
    const { fields = {}, url } = await presignerFor().post(TERMS);
    expect(url).toBe('http://minio:9000/uploads');
    const policy = JSON.parse(Buffer.from(fields.Policy ?? '', 'base64').toString());
    const checksum = Buffer.from(TERMS.sha256 ?? '', 'hex').toString('base64');
    const bound = [
      { key: KEY },
      { bucket: 'uploads' },
      ['content-length-range', 11, 11],
      { 'Content-Type': 'text/plain' },
      { 'x-amz-checksum-sha256': checksum },
    ];
    expect(policy.conditions).toEqual(expect.arrayContaining(bound));
    expect(JSON.stringify(policy.conditions)).not.toContain('starts-with');
    expect(fields).toMatchObject({ key: KEY, 'Content-Type': 'text/plain', 'x-amz-checksum-sha256': checksum });
  });
});

describe('whose credentials an S3 link has', () => {
  const SEARCHED = { AWS_CONTAINER_CREDENTIALS_FULL_URI: '', AWS_EC2_METADATA_DISABLED: 'true', AWS_SHARED_CREDENTIALS_FILE: '/nowhere' };
  const before = { ...process.env };
  beforeEach(() => void Object.assign(process.env, SEARCHED));
  afterEach(() => {
    for (const name of [...Object.keys(SEARCHED), 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) delete process.env[name];
    Object.assign(process.env, before);
  });

  test('given ones, with their token', async () => {
    const credentials = { accessKeyId: 'ASIA', secretAccessKey: 'secret', sessionToken: 'a token' };
    const link = await presignerFor({ credentials }).put(TERMS);
    expect(queryOf(link)['X-Amz-Security-Token']).toBe('a token');
  });

  test('those of the environment, where none are given', async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKIAENV', AWS_SECRET_ACCESS_KEY: 'secret' });
    expect(queryOf(await presignerFor({ credentials: null }).put(TERMS))['X-Amz-Credential']).toMatch(/^AKIAENV\//);
  });

  test('those of a role, fetched again before they run out', async () => {
    let given = 0;
    const role = createServer((_, res) => {
      given += 1;
      const Expiration = new Date(Date.now() + (given === 1 ? 1000 : 3_600_000)).toISOString();
      res.end(JSON.stringify({ AccessKeyId: `ASIA${given}`, SecretAccessKey: 'secret', Token: `token ${given}`, Expiration }));
    });
    role.listen(0, '127.0.0.1');
    await once(role, 'listening');
    process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = `http://127.0.0.1:${(role.address() as AddressInfo).port}/role`;
    const presigner = presignerFor({ credentials: null });
    expect(queryOf(await presigner.put(TERMS))['X-Amz-Security-Token']).toBe('token 1');
    await eventually(async () => expect(queryOf(await presigner.put(TERMS))['X-Amz-Security-Token']).toBe('token 2'));
    role.closeAllConnections();
    role.close();
  });

  test('none at all is store_unavailable', async () => {
    const failure = { code: 'store_unavailable', detail: expect.stringMatching(/no credentials/) };
    await expect(presignerFor({ credentials: null }).put(TERMS)).rejects.toMatchObject(failure);
    await expect(presignerFor({ credentials: null }).post(TERMS)).rejects.toMatchObject(failure);
  });
});

describe('where an S3 link leads to', () => {
  const originAndPath = async (options: Partial<S3Options>): Promise<string> => {
    const { origin, pathname } = new URL((await presignerFor(options).put(TERMS)).url);
    return origin + pathname;
  };
  const formAt = async (options: Partial<S3Options>): Promise<string> => (await presignerFor(options).post(TERMS)).url;

  test.each<[string, Partial<S3Options>, string]>([
    ['in the path', {}, 'http://minio:9000/uploads'],
    ['in the host name', { pathStyle: false, endpoint: 'https://s3.example.com' }, 'https://uploads.s3.example.com'],
    ['at AWS', { pathStyle: false, endpoint: null }, 'https://uploads.s3.eu-central-1.amazonaws.com'],
    ['at AWS in China', { pathStyle: false, endpoint: null, region: 'cn-north-1' }, 'https://uploads.s3.cn-north-1.amazonaws.com.cn'],
    ['at a public address', { publicEndpoint: 'https://files.example.com' }, 'https://files.example.com/uploads'],
    ['below a path', { publicEndpoint: 'https://example.com/s3/' }, 'https://example.com/s3/uploads'],
  ])('the bucket %s', async (_, options, address) => {
    expect(await originAndPath(options)).toBe(`${address}/${KEY}`);
    expect((await formAt(options)).replace(/\/$/, '')).toBe(address);
  });
});

describe('how long an S3 link works', () => {
  const validity = async (expiresAt: number): Promise<unknown> => {
    const query = queryOf(await presignerFor().put({ ...TERMS, expiresAt }));
    return [query['X-Amz-Date'], query['X-Amz-Expires']];
  };

  test('whole seconds, never longer than it may', async () => {
    expect(await validity(NOW + 1000)).toEqual(['20261124T120000Z', '1']);
    expect(await validity(NOW + 10_099)).toEqual(['20261124T120000Z', '10']);
    expect(await validity(NOW + 10_100)).toEqual(['20261124T120000Z', '11']);
  });

  test('less than a second, or none: it has run out by then', async () => {
    expect(await validity(NOW + 50)).toEqual(['20261124T115959Z', '1']);
    expect(await validity(NOW - 60_000)).toEqual(['20261124T115859Z', '1']);
  });

  test('no longer than S3 allows', async () => {
    expect(await validity(NOW + 30 * 86_400_000)).toEqual(['20261124T120000Z', '604800']);
  });
});

withServers(({ s3 }) => {
  describe('links on a server', () => {
    let opened: OpenedS3Store;
    let publicly: TcpProxy;
    let other: string;
    beforeAll(async () => {
      publicly = await TcpProxy.open(s3.endpoint);
      other = new URL(publicly.url).origin;
      opened = await openS3Store(s3, 'windlass-public', { connection: { publicEndpoint: other } });
    });
    afterAll(async () => {
      await opened.close();
      await publicly.close();
    });

    test('work at the public address, and at no other', async () => {
      const terms = { ...TERMS, expiresAt: Date.now() + 60_000 };
      const { url, headers } = await opened.presigner.put(terms);
      expect(new URL(url).origin).toBe(other);
      const inside = await fetch(url.replace(other, s3.endpoint), { method: 'PUT', headers, body: BYTES });
      expect(inside.status).toBe(403);
      expect((await fetch(url, { method: 'PUT', headers, body: BYTES })).status).toBe(200);
      expect(await opened.store.head(KEY)).toMatchObject({ size: 11, sha256: TERMS.sha256 });
    });

    test('a form with a digest takes those bytes only', async () => {
      const key = keyOf('staging', 'acme', v7());
      const { url, fields } = await opened.presigner.post({ ...TERMS, key, expiresAt: Date.now() + 60_000 });
      const send = async (bytes: string): Promise<number> => {
        const form = new FormData();
        for (const [field, value] of Object.entries(fields ?? {})) form.append(field, value);
        form.append('file', new Blob([bytes], { type: 'text/plain' }), 'hello.txt');
        return (await fetch(url, { method: 'POST', body: form })).status;
      };
      expect(await send('HELLO WORLD')).toBe(400);
      expect(await opened.store.head(key)).toBeNull();
      expect(await send(BYTES)).toBe(204);
    });

    test('a key with signs in it works', async () => {
      const key = "staging/odd/it's (a) key!*/ü+&=.bin";
      const link = await opened.presigner.put({ ...TERMS, key, expiresAt: Date.now() + 60_000 });
      expect((await fetch(link.url, { method: 'PUT', headers: link.headers, body: BYTES })).status).toBe(200);
      expect(await opened.store.head(key)).toMatchObject({ size: 11 });
    });

    test('one that had run out when it was signed is refused', async () => {
      const key = keyOf('staging', 'acme', v7());
      const { url, headers } = await opened.presigner.put({ ...TERMS, key, expiresAt: Date.now() - 10_000 });
      expect((await fetch(url, { method: 'PUT', headers, body: BYTES })).status).toBe(403);
    });
  });
});
