import { GetBucketCorsCommand, PutBucketCorsCommand } from '@aws-sdk/client-s3';
import { afterEach, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import type { ProvisionStep } from '../../src/ports/provision.ts';
import { type OpenedS3Store, openS3Store } from '../support/s3-store.ts';
import { withServers } from './with-servers.ts';

const ORIGIN = 'https://app.example.com';

withServers(({ s3 }) => {
  const opened: OpenedS3Store[] = [];
  afterEach(() => Promise.all(opened.splice(0).map((one) => one.close())));

  const open = async (bucket: string, origins: string[] = [ORIGIN]) => {
    const one = await openS3Store(s3, bucket, { provision: false, store: { provisioning: { origins, abandonedDays: 2 } } });
    opened.push(one);
    return one;
  };
  const newBucket = (): string => `windlass-${v7()}`;
  const outcomes = (steps: ProvisionStep[]) => Object.fromEntries(steps.map(({ subject, outcome }) => [subject, outcome]));

  const preflight = async (bucket: string, origin: string): Promise<Headers> => {
    const answer = await fetch(`${s3.endpoint}/${bucket}/staging/x`, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'PUT',
        'Access-Control-Request-Headers': 'content-type,x-amz-checksum-sha256',
      },
    });
    await answer.arrayBuffer();
    return answer.headers;
  };

  test('makes what is missing, and nothing a second time', async () => {
    const { store } = await open(newBucket());
    const first = outcomes(await store.provision());
    expect(first).toMatchObject({ bucket: 'made' });
    expect(['made', 'unsupported']).toContain(first.CORS);
    expect(['made', 'unsupported']).toContain(first.lifecycle);
    const again = outcomes(await store.provision());
    expect(Object.values(again)).not.toContain('made');
    expect(again.bucket).toBe('unchanged');
  });

  test('what a server cannot do is said, with what is done instead', async () => {
    const { store } = await open(newBucket());
    for (const { subject, outcome, detail } of await store.provision())
      if (outcome === 'unsupported') expect(detail).toMatch(subject === 'CORS' ? /MINIO_API_CORS_ALLOW_ORIGIN/ : /reconciler/);
  });

  test('by several processes at once is fine', async () => {
    const bucket = newBucket();
    const stores = await Promise.all(Array.from({ length: 4 }, () => open(bucket)));
    const all = await Promise.all(stores.map(({ store }) => store.provision()));
    expect(all.map((steps) => outcomes(steps).bucket).sort()).toEqual(['made', 'unchanged', 'unchanged', 'unchanged'].sort());
  });

  test('pages of the given origins may use links, and read what parts need', async () => {
    const bucket = newBucket();
    const { store, presigner } = await open(bucket);
    const { CORS } = outcomes(await store.provision());
    if (CORS === 'unsupported') return;
    const allowed = await preflight(bucket, ORIGIN);
    expect(allowed.get('Access-Control-Allow-Origin')).toBe(ORIGIN);
    expect(allowed.get('Access-Control-Allow-Methods')).toContain('PUT');
    expect(allowed.get('Access-Control-Allow-Headers')?.toLowerCase()).toContain('x-amz-checksum-sha256');
    expect((await preflight(bucket, 'https://evil.example')).get('Access-Control-Allow-Origin')).toBeNull();
    const link = await presigner.put({
      key: 'staging/x',
      size: 1,
      contentType: 'text/plain',
      sha256: null,
      expiresAt: Date.now() + 60_000,
    });
    const put = await fetch(link.url, { method: 'PUT', headers: { ...link.headers, Origin: ORIGIN }, body: 'x' });
    expect(put.headers.get('Access-Control-Expose-Headers')).toContain('ETag');
  });

  test("other people's rules stay, and our own follows the settings", async () => {
    const bucket = newBucket();
    const { store, connection } = await open(bucket, []);
    await store.provision();
    const theirs = { ID: 'theirs', AllowedOrigins: ['https://other.example'], AllowedMethods: ['GET'] };
    try {
      await connection.client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: [theirs] } }));
    } catch {
      return; // This server has no such rules: nothing to keep.
    }
    await (await open(bucket, ['https://old.example'])).store.provision();
    expect(outcomes(await (await open(bucket)).store.provision()).CORS).toBe('made');
    const { CORSRules = [] } = await connection.client.send(new GetBucketCorsCommand({ Bucket: bucket }));
    expect(CORSRules.map(({ ID, AllowedOrigins }) => [ID, AllowedOrigins])).toEqual([
      ['theirs', ['https://other.example']],
      ['windlass', [ORIGIN]],
    ]);
  });

  test('a bucket whose server refuses is store_unavailable', async () => {
    const wrong = await openS3Store({ ...s3, secretAccessKey: 'wrong' }, newBucket(), { provision: false });
    opened.push(wrong);
    await expect(wrong.store.provision()).rejects.toMatchObject({ code: 'store_unavailable', detail: expect.stringMatching(/403/) });
  });
});
