import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { keyOf } from '../../src/core/keys.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import type { Presigner, PutTerms, SignedRequest } from '../../src/ports/presigner.ts';

export interface OpenedPresigner {
  presigner: Presigner;
  /** The store that the links lead to. */
  store: ObjectStore;
  /** Now, for the store; epoch ms. */
  clock(): number;
  /** Resolves when this much time has gone by for the store. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

type Outgoing = Pick<SignedRequest, 'url' | 'headers'> & { method?: string; body?: string | FormData };

const BYTES = 'hello world';
const SHA256 = createHash('sha256').update(BYTES).digest('hex');
const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64');

/** What the store behind any Presigner takes and refuses, tried with real requests. Only what the port promises is asked for. */
export function describePresigner(name: string, open: () => Promise<OpenedPresigner>): void {
  describe(`presigner contract: ${name}`, () => {
    let opened: OpenedPresigner;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.close());

    const terms = (overrides: Partial<PutTerms> = {}): PutTerms => ({
      key: keyOf('staging', 'acme', v7()),
      size: BYTES.length,
      contentType: 'text/plain',
      sha256: null,
      expiresAt: opened.clock() + 60_000,
      ...overrides,
    });
    const send = ({ url, headers, method, body }: Outgoing): Promise<Response> =>
      fetch(url, { method: method ?? 'GET', headers, ...(body === undefined ? {} : { body }) });
    const contentOf = async (key: string): Promise<string | null> => {
      const stream = await opened.store.read(key);
      return stream && (await buffer(stream)).toString();
    };
    const expectRefused = async (outgoing: Outgoing, key: string, before: string | null = null): Promise<void> => {
      const answer = await send(outgoing);
      await answer.arrayBuffer();
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(await contentOf(key)).toBe(before);
    };

    describe('PUT', () => {
      test('stores the bytes with the headers that were given, and answers with an ETag', async () => {
        const { key, ...rest } = terms();
        const link = await opened.presigner.put({ key, ...rest });
        expect(Object.keys(link.headers).map((header) => header.toLowerCase())).not.toEqual(
          expect.arrayContaining(['content-length', 'host']),
        );
        const answer = await send({ ...link, body: BYTES });
        expect(answer.status).toBe(200);
        expect(answer.headers.get('ETag')).toMatch(/^".+"$/);
        expect(await contentOf(key)).toBe(BYTES);
        expect(await opened.store.head(key)).toMatchObject({ size: BYTES.length, contentType: 'text/plain' });
      });

      test('works again until it runs out, and replaces the object', async () => {
        const wanted = terms({ size: 3 });
        const link = await opened.presigner.put(wanted);
        await send({ ...link, body: 'one' });
        const first = await opened.store.head(wanted.key);
        await send({ ...link, body: 'two' });
        expect(await contentOf(wanted.key)).toBe('two');
        expect((await opened.store.head(wanted.key))?.etag).not.toBe(first?.etag);
      });

      test('is refused once it has run out', async () => {
        const wanted = terms({ expiresAt: opened.clock() + 1000 });
        const link = await opened.presigner.put(wanted);
        await opened.pass(2500);
        await expectRefused({ ...link, body: BYTES }, wanted.key);
      });

      test.each(['hello', 'hello world and more'])('is refused for a body of another size: %j', async (body) => {
        const wanted = terms();
        await expectRefused({ ...(await opened.presigner.put(wanted)), body }, wanted.key);
      });

      test('is refused for another type', async () => {
        const wanted = terms();
        const link = await opened.presigner.put(wanted);
        await expectRefused({ ...link, headers: { ...link.headers, 'Content-Type': 'text/html' }, body: BYTES }, wanted.key);
      });

      test('is refused for another method', async () => {
        const wanted = terms();
        const link = await opened.presigner.put(wanted);
        await send({ ...link, body: BYTES });
        for (const method of ['GET', 'DELETE', 'POST'])
          await expectRefused({ url: link.url, headers: link.headers, method }, wanted.key, BYTES);
      });

      test('is refused when its address is altered in any place', async () => {
        const wanted = terms();
        const link = await opened.presigner.put(wanted);
        const other = keyOf('staging', 'acme', v7());
        const elsewhere = new URL(link.url);
        elsewhere.pathname = elsewhere.pathname.replace(wanted.key, other);
        await expectRefused({ ...link, url: elsewhere.href, body: BYTES }, other);
        for (const name of new Set(new URL(link.url).searchParams.keys())) {
          const [changed, missing] = [new URL(link.url), new URL(link.url)];
          const value = changed.searchParams.get(name) ?? '';
          changed.searchParams.set(name, value.slice(0, -1) + (value.endsWith('1') ? '2' : '1'));
          missing.searchParams.delete(name);
          await expectRefused({ ...link, url: changed.href, body: BYTES }, wanted.key);
          await expectRefused({ ...link, url: missing.href, body: BYTES }, wanted.key);
        }
      });

      test('is refused without a length', async () => {
        const wanted = terms();
        const { url, headers } = await opened.presigner.put(wanted);
        const sending = request(url, { method: 'PUT', headers: { ...headers, 'Transfer-Encoding': 'chunked' } });
        sending.end(BYTES);
        const [answer] = await once(sending, 'response');
        expect(answer.statusCode).toBeGreaterThanOrEqual(400);
        answer.destroy();
        expect(await contentOf(wanted.key)).toBeNull();
      });

      test('a body that breaks off leaves nothing', async () => {
        const wanted = terms({ size: 1_000_000 });
        const { url, headers } = await opened.presigner.put(wanted);
        const sending = request(url, { method: 'PUT', headers: { ...headers, 'Content-Length': 1_000_000 } });
        const ended = new Promise((resolve) => sending.on('close', resolve));
        sending.on('error', () => undefined);
        sending.write(Buffer.alloc(200_000), () => sending.destroy());
        await ended;
        expect(await opened.store.head(wanted.key)).toBeNull();
      });

      test('that comes after the object was checked and frozen cannot change what is frozen', async () => {
        const wanted = terms();
        const frozenKey = keyOf('files', 'acme', v7());
        const link = await opened.presigner.put(wanted);
        await send({ ...link, body: BYTES });
        const checked = await opened.store.head(wanted.key);
        await opened.store.freeze(wanted.key, frozenKey, checked?.etag ?? '');
        const late = await send({ ...link, body: 'HELLO WORLD' });
        expect(late.status).toBe(200);
        expect(await contentOf(frozenKey)).toBe(BYTES);
        expect(await opened.store.freeze(wanted.key, keyOf('files', 'acme', v7()), checked?.etag ?? '')).toBeNull();
      });
    });

    describe('PUT with a declared digest', () => {
      test('takes those bytes', async () => {
        const wanted = terms({ sha256: SHA256 });
        const answer = await send({ ...(await opened.presigner.put(wanted)), body: BYTES });
        expect(answer.status).toBe(200);
        expect(await contentOf(wanted.key)).toBe(BYTES);
      });

      test('refuses other bytes, and keeps nothing', async () => {
        const wanted = terms({ sha256: SHA256 });
        await expectRefused({ ...(await opened.presigner.put(wanted)), body: 'HELLO WORLD' }, wanted.key);
      });

      test('refuses a request without the header, or with one for other bytes', async () => {
        const wanted = terms({ sha256: SHA256 });
        const { url, headers } = await opened.presigner.put(wanted);
        const without = { 'Content-Type': headers['Content-Type'] ?? '' };
        await expectRefused({ method: 'PUT', url, headers: without, body: BYTES }, wanted.key);
        const other = Object.fromEntries(
          Object.entries(headers).map(([header, value]) => [header, value.replace(digestOf(BYTES), digestOf('HELLO WORLD'))]),
        );
        expect(other).not.toEqual(headers);
        await expectRefused({ method: 'PUT', url, headers: other, body: 'HELLO WORLD' }, wanted.key);
      });
    });

    describe('POST form', () => {
      const formOf = (fields: Record<string, string> | undefined, bytes: string): FormData => {
        const form = new FormData();
        for (const [field, value] of Object.entries(fields ?? {})) form.append(field, value);
        form.append('file', new Blob([bytes], { type: 'text/plain' }), 'hello.txt');
        return form;
      };
      const post = async (
        wanted: PutTerms,
        bytes = BYTES,
        change: (fields: Record<string, string>) => void = () => undefined,
      ): Promise<Outgoing> => {
        const { url, headers, fields } = await opened.presigner.post(wanted);
        const changed = { ...fields };
        change(changed);
        return { method: 'POST', url, headers, body: formOf(changed, bytes) };
      };

      test('stores the file', async () => {
        const wanted = terms();
        const answer = await send(await post(wanted));
        expect(answer.ok).toBe(true);
        expect(await contentOf(wanted.key)).toBe(BYTES);
        expect(await opened.store.head(wanted.key)).toMatchObject({ size: BYTES.length, contentType: 'text/plain' });
      });

      test.each(['hello', 'hello world and more'])('refuses a file of another size: %j', async (bytes) => {
        const wanted = terms();
        await expectRefused(await post(wanted, bytes), wanted.key);
      });

      test('refuses fields that are changed, left out or added', async () => {
        const wanted = terms();
        const other = keyOf('staging', 'acme', v7());
        const { fields } = await opened.presigner.post(wanted);
        await expectRefused(await post(wanted, BYTES, (form) => Object.assign(form, { key: other })), other);
        await expectRefused(await post(wanted, BYTES, (form) => Object.assign(form, { 'Content-Type': 'text/html' })), wanted.key);
        await expectRefused(await post(wanted, BYTES, (form) => Object.assign(form, { acl: 'public-read' })), wanted.key);
        for (const field of Object.keys(fields ?? {}))
          await expectRefused(await post(wanted, BYTES, (form) => void delete form[field]), wanted.key);
      });

      test('refuses a policy that was written over', async () => {
        const wanted = terms();
        const widen = (form: Record<string, string>): void => {
          const name = Object.keys(form).find((field) => field.toLowerCase() === 'policy') ?? 'policy';
          const policy = Buffer.from(form[name] ?? '', 'base64').toString();
          form[name] = Buffer.from(policy.replaceAll(String(wanted.size), '1000000')).toString('base64');
        };
        await expectRefused(await post(wanted, 'hello world and more', widen), wanted.key);
      });

      test('is refused once it has run out', async () => {
        const wanted = terms({ expiresAt: opened.clock() + 1000 });
        const outgoing = await post(wanted);
        await opened.pass(2500);
        await expectRefused(outgoing, wanted.key);
      });
    });

    describe('PUT of a part', () => {
      const begin = async () => {
        const { key, expiresAt } = terms();
        const multipartId = await opened.store.createMultipart(key, 'video/mp4');
        return { key, multipartId, partNumber: 1, size: BYTES.length, expiresAt };
      };

      test('stores the part and answers with its ETag', async () => {
        const part = await begin();
        const answer = await send({ ...(await opened.presigner.part(part)), body: BYTES });
        expect(answer.status).toBe(200);
        expect(await opened.store.listParts(part.key, part.multipartId)).toMatchObject([{ partNumber: 1, size: BYTES.length }]);
        await opened.store.completeMultipart(part.key, part.multipartId, [{ partNumber: 1, etag: answer.headers.get('ETag') ?? '' }]);
        expect(await contentOf(part.key)).toBe(BYTES);
      });

      test('refuses another size and another number', async () => {
        const part = await begin();
        const link = await opened.presigner.part(part);
        await expectRefused({ ...link, body: 'hello' }, part.key);
        await expectRefused({ ...link, body: 'hello world and more' }, part.key);
        const url = new URL(link.url);
        for (const [parameter, value] of url.searchParams)
          if (value === '1' && /part/i.test(parameter)) url.searchParams.set(parameter, '2');
        expect(url.href).not.toBe(link.url);
        await expectRefused({ ...link, url: url.href, body: BYTES }, part.key);
        expect(await opened.store.listParts(part.key, part.multipartId)).toEqual([]);
      });

      test('is 404 after the upload was aborted', async () => {
        const part = await begin();
        const link = await opened.presigner.part(part);
        await opened.store.abortMultipart(part.key, part.multipartId);
        expect((await send({ ...link, body: BYTES })).status).toBe(404);
      });
    });

    describe('GET', () => {
      const stored = async () => {
        const wanted = terms();
        await send({ ...(await opened.presigner.put(wanted)), body: BYTES });
        return { key: wanted.key, filename: 'Grüße "1".txt', contentType: 'text/plain', expiresAt: wanted.expiresAt };
      };

      test('gives the bytes, to be saved under the name', async () => {
        const answer = await send(await opened.presigner.get(await stored()));
        expect(answer.status).toBe(200);
        expect(await answer.text()).toBe(BYTES);
        expect(answer.headers.get('Content-Type')).toBe('text/plain');
        expect(answer.headers.get('Content-Disposition')).toMatch(/^attachment;.*filename\*=UTF-8''Gr%C3%BC%C3%9Fe/);
        expect(answer.headers.get('ETag')).toMatch(/^".+"$/);
      });

      test('gives a range', async () => {
        const link = await opened.presigner.get(await stored());
        const answer = await send({ ...link, headers: { ...link.headers, Range: 'bytes=4-6' } });
        expect(answer.status).toBe(206);
        expect(await answer.text()).toBe('o w');
        expect(answer.headers.get('Content-Range')).toBe('bytes 4-6/11');
      });

      test('is refused when altered or run out', async () => {
        const wanted = await stored();
        const link = await opened.presigner.get(wanted);
        const altered = new URL(link.url);
        altered.pathname = altered.pathname.replace(wanted.key, keyOf('files', 'acme', v7()));
        expect((await send({ ...link, url: altered.href })).status).toBe(403);
        const short = await opened.presigner.get({ ...wanted, expiresAt: opened.clock() + 1000 });
        await opened.pass(2500);
        expect((await send(short)).status).toBe(403);
      });

      test('of what is not there is refused', async () => {
        const wanted = { ...(await stored()), key: keyOf('files', 'acme', v7()) };
        const answer = await send(await opened.presigner.get(wanted));
        expect([403, 404]).toContain(answer.status);
      });
    });
  });
}
