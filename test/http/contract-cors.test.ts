import { describe, expect, test } from '@jest/globals';
import { useServer } from '../support/suite.ts';

const APP = 'https://app.example.com';
const suite = useServer({ CORS_ORIGINS: `${APP},https://other.example.com` });

/** What a browser asks before it sends a request that is not simple. */
const preflight = (url: string, method: string, headers: string, origin = APP): Promise<Response> =>
  fetch(url, {
    method: 'OPTIONS',
    headers: { Origin: origin, 'Access-Control-Request-Method': method, 'Access-Control-Request-Headers': headers },
  });

const listed = (response: Response, name: string): string[] => (response.headers.get(name) ?? '').toLowerCase().split(/\s*,\s*/);

describe('a page of an allowed origin', () => {
  test.each([
    ['POST', '/v1/uploads/presign', 'authorization,content-type,idempotency-key'],
    ['PUT', '/v1/resources/post/1', 'authorization,content-type,if-match'],
    ['DELETE', '/v1/uploads/x', 'authorization'],
  ])('may %s %s', async (method, path, headers) => {
    const answer = await preflight(`${suite.server.url}${path}`, method, headers);
    expect(answer.ok).toBe(true);
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
    expect(listed(answer, 'access-control-allow-methods')).toContain(method.toLowerCase());
    for (const name of headers.split(',')) expect(listed(answer, 'access-control-allow-headers')).toContain(name);
    expect(listed(answer, 'vary')).toContain('origin');
  });

  test('may use the link, and read the ETag of what it sent', async () => {
    const { body } = await suite.api.presign({ size: 1, contentType: 'image/png' });
    const { url, headers } = body.request;
    const asked = await preflight(url, 'PUT', Object.keys(headers).join(','));
    expect(asked.ok).toBe(true);
    expect(asked.headers.get('access-control-allow-origin')).toBe(APP);
    expect(listed(asked, 'access-control-allow-methods')).toContain('put');
    const sent = await fetch(url, { method: 'PUT', headers: { ...headers, Origin: APP }, body: 'x' });
    expect(sent.ok).toBe(true);
    expect(sent.headers.get('access-control-allow-origin')).toBe(APP);
    expect(listed(sent, 'access-control-expose-headers')).toContain('etag');
    expect(sent.headers.get('etag')).toMatch(/^"[^"]+"$/);
  });

  test('may read what answers say in headers, refusals included', async () => {
    const stored = await suite.api.raw('direct', 'x', { headers: { Origin: APP } });
    for (const name of ['location', 'etag', 'retry-after', 'x-request-id'])
      expect(listed(stored as unknown as Response, 'access-control-expose-headers')).toContain(name);
    const refused = await suite.api.get('/v1/nothing', { Origin: APP });
    expect(refused.status).toBe(404);
    expect(refused.headers.get('access-control-allow-origin')).toBe(APP);
  });
});

test('a page of another origin gets no leave', async () => {
  const answer = await preflight(`${suite.server.url}/v1/uploads/presign`, 'POST', 'content-type', 'https://evil.example');
  expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  const { body } = await suite.api.presign({ size: 1 });
  expect(
    (await preflight(body.request.url, 'PUT', 'content-type', 'https://evil.example')).headers.get('access-control-allow-origin'),
  ).toBeNull();
});
