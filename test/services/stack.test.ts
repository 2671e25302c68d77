import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { RandomFile, sha256Of } from '../support/random-file.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { withServers } from './with-servers.ts';

const MIB = 1024 ** 2;

withServers((servers) => {
  describe('two servers and two workers on MongoDB, RabbitMQ and S3', () => {
    let stack: Stack;
    let here: ApiClient;
    let there: ApiClient;
    beforeAll(async () => {
      stack = await startStack(servers, { settings: { SINGLE_PART_BYTES: '6MiB', PART_BYTES: '5MiB' } });
      [here, there] = stack.apis.map(({ url }) => new ApiClient(url)) as [ApiClient, ApiClient];
    }, 60_000);
    afterAll(async () => {
      for (const one of [...stack.apis, ...stack.workers]) await one.stop();
      await stack[Symbol.asyncDispose]();
    });

    const file = new RandomFile(3 * MIB, 'stack');
    const content = async (api: ApiClient, id: string): Promise<string> => {
      const answer = await api.fetch(`/v1/uploads/${id}/content`);
      expect(answer.status).toBe(200);
      return sha256Of(new Uint8Array(await answer.arrayBuffer()));
    };

    test('a direct upload is read from its server through the other one, ranges and removal included', async () => {
      const bytes = new Uint8Array(await file.bytes());
      const { status, body } = await here.raw('direct', bytes, { type: 'text/plain' });
      expect(status).toBe(201);
      expect(body.location).toMatchObject({ store: 'disk', node: 'api-0' });
      expect(await content(there, body.id)).toBe(sha256Of(bytes));
      const range = await there.fetch(`/v1/uploads/${body.id}/content`, { headers: { Range: 'bytes=100-199' } });
      expect([range.status, Buffer.from(await range.arrayBuffer()).equals(bytes.subarray(100, 200))]).toEqual([206, true]);
      expect((await there.send('DELETE', `/v1/uploads/${body.id}`)).status).toBe(204);
      expect((await here.upload(body.id)).status).toBe(404);
    });

    test('a relayed upload gets from either server to S3, and out of the spool', async () => {
      const bytes = new Uint8Array(await file.bytes());
      for (const [from, to] of [
        [here, there],
        [there, here],
      ] as const) {
        const { status, body } = await from.raw('relay', bytes);
        expect(status).toBe(202);
        const done = await to.get(`/v1/uploads/${body.id}`, { Prefer: 'wait=30' });
        expect(done.body).toMatchObject({ state: 'stored', sha256: sha256Of(bytes), attempts: 1, location: { store: 's3', node: null } });
        const link = await to.fetch(`/v1/uploads/${body.id}/content`, { redirect: 'manual' });
        expect(link.status).toBe(307);
        expect(link.headers.get('Location')).toContain(servers.s3.endpoint);
        expect(await content(from, body.id)).toBe(sha256Of(bytes));
      }
      await eventually(async () => expect(await stack.audit()).toEqual([]));
    });

    test('a version that is named by our ETag is the version that is sent, though the store has another ETag', async () => {
      const { body } = await here.raw('relay', '0123456789', { type: 'text/plain' });
      await there.settled(body.id);
      const path = `/v1/uploads/${body.id}/content`;
      const etag = (await there.fetch(path, { method: 'HEAD' })).headers.get('ETag') ?? '';
      const asked = async (headers: Record<string, string>): Promise<unknown[]> => {
        const answer = await here.fetch(path, { headers });
        return [answer.status, answer.redirected, await answer.text()];
      };
      expect(await asked({ 'If-Match': etag })).toEqual([200, false, '0123456789']);
      expect(await asked({ Range: 'bytes=2-3', 'If-Range': etag })).toEqual([206, false, '23']);
      expect(await asked({ Range: 'bytes=2-3' })).toEqual([206, true, '23']);
      expect(await asked({ 'If-None-Match': etag })).toEqual([304, false, '']);
      const beyond = await here.get(path, { Range: 'bytes=10-' });
      expect([beyond.status, beyond.body.code, beyond.headers.get('Content-Range')]).toEqual([416, 'range_not_satisfiable', 'bytes */10']);
    });

    test('events of one server are heard at the other', async () => {
      const { body } = await here.raw('relay', 'hello', { type: 'text/plain' });
      const events = await there.fetch(`/v1/uploads/${body.id}/events`);
      const text = await events.text();
      expect(text).toContain('"state":"stored"');
    });

    test('a presigned upload goes straight to S3, is completed at the other server, and cannot be changed afterwards', async () => {
      const order = await here.presign({ size: 5, contentType: 'text/plain', filename: 'a.txt', resource: { type: 'post', id: '42' } });
      expect(order.status).toBe(201);
      const { url, headers, method } = order.body.request;
      expect(url).toContain(servers.s3.endpoint);
      const { id } = order.body.upload;
      expect((await there.complete(id)).body).toMatchObject({ code: 'not_uploaded', status: 409 });
      expect((await fetch(url, { method, headers, body: 'hello!' })).ok).toBe(false);
      expect((await fetch(url, { method, headers, body: 'hello' })).status).toBe(200);
      const done = await there.complete(id);
      expect([done.status, done.body.state, done.body.sha256]).toEqual([200, 'stored', sha256Of('hello')]);
      expect((await here.complete(id)).body).toMatchObject({ state: 'stored' });
      await fetch(url, { method, headers, body: 'HELLO' });
      expect(await content(here, id)).toBe(sha256Of('hello'));
      expect((await here.get('/v1/resources/post/42')).body.uploads).toMatchObject([{ id }]);
    });

    test('a presigned upload in parts', async () => {
      const large = new Uint8Array(await new RandomFile(12 * MIB, 'parts').bytes());
      const order = await here.presign({ size: large.length });
      const { partSize, partCount } = order.body.multipart;
      const { id } = order.body.upload;
      const numbers = Array.from({ length: partCount }, (_, index) => index + 1);
      const { body } = await there.json('POST', `/v1/uploads/${id}/parts`, { partNumbers: numbers });
      for (const { partNumber, url, headers } of body.parts as { partNumber: number; url: string; headers: Record<string, string> }[]) {
        const part = large.subarray((partNumber - 1) * partSize, partNumber * partSize);
        expect((await fetch(url, { method: 'PUT', headers, body: part })).status).toBe(200);
      }
      expect((await here.get(`/v1/uploads/${id}/parts`)).body.parts).toHaveLength(partCount);
      const done = await there.complete(id);
      expect([done.status, done.body.sha256]).toEqual([200, sha256Of(large)]);
      expect(await content(here, id)).toBe(sha256Of(large));
    });

    test('a server that is away costs its uploads no try, and they go on when it is back', async () => {
      await using broken = await startStack(servers, { apis: 1, workers: 1, settings: { LEASE_SECONDS: '2' } });
      const [api] = broken.apis as [Stack['apis'][0]];
      const [worker] = broken.workers as [Stack['workers'][0]];
      await worker.stop();
      const { body } = await new ApiClient(api.url).raw('relay', 'hello', { type: 'text/plain' });
      await api.kill();
      await using late = await broken.startWorker();
      await eventually(() => expect(late.output).toContain('it does not count'));
      await using back = await api.restart();
      const done = await new ApiClient(back.url).get(`/v1/uploads/${body.id}`, { Prefer: 'wait=30' });
      expect(done.body).toMatchObject({ state: 'stored', attempts: 1 });
    });
  });
});
