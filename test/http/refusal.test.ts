import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import Koa from 'koa';
import { type DrainLimits, respondAndDrain } from '../../src/http/refusal.ts';
import { createHttpServer, listen } from '../../src/http/server.ts';
import { head, RawConnection } from '../support/raw-http.ts';

const MIB = 1024 * 1024;
const ANSWER = JSON.stringify({ code: 'too_large', padding: 'x'.repeat(2000) });

let server: Server = createServer();
let port = 0;
let limits: DrainLimits;
beforeEach(async () => {
  limits = { bytes: 64 * MIB, ms: 5000, lingerMs: 5000 };
  const app = new Koa();
  app.use((ctx) => respondAndDrain(ctx, 413, { 'Content-Type': 'application/problem+json' }, ANSWER, limits));
  server = createHttpServer(app);
  port = await listen(server, 0, '127.0.0.1');
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('a client that reads only when it has written everything gets the whole answer, then the end', async () => {
  const connection = new RawConnection(port);
  connection.socket.pause();
  await connection.write(head(port, 'POST', '/', { 'Content-Length': 16 * MIB }));
  for (let sent = 0; sent < 16; sent += 1) await connection.write(Buffer.alloc(MIB));
  connection.socket.resume();
  const { status, headers, body } = await connection.answer();
  expect([status, headers.get('connection'), body]).toEqual([413, 'close', ANSWER]);
  await connection.ended();
  connection.close();
});

test('a client that reads while it writes has the answer at once, long before its body ends', async () => {
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/', { 'Content-Length': 100 * MIB }));
  expect((await connection.answer()).body).toBe(ANSWER);
  connection.close();
});

test('a body without end is read for a while only', async () => {
  limits = { bytes: 4 * MIB, ms: 60_000, lingerMs: 50 };
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/', { 'Transfer-Encoding': 'chunked' }));
  const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB), Buffer.from('\r\n')]);
  let sent = 0;
  while (!connection.socket.destroyed && !connection.over && sent < 1000) {
    await Promise.race([connection.write(chunk), connection.ended()]);
    sent += 1;
  }
  expect(connection.text).toContain(ANSWER);
  expect(sent).toBeLessThan(1000);
  connection.close();
});

test('a client that stops sending and does not read does not keep its connection', async () => {
  limits = { bytes: 64 * MIB, ms: 50, lingerMs: 50 };
  const accepted = once(server, 'connection');
  const connection = new RawConnection(port);
  connection.socket.pause();
  const [socket] = await accepted;
  await connection.write(head(port, 'POST', '/', { 'Content-Length': MIB }));
  await once(socket, 'close');
  connection.close();
});

test('a body that has come whole leaves the connection open for the next request', async () => {
  const connection = new RawConnection(port);
  for (const round of [1, 2, 3]) {
    await connection.write(`${head(port, 'POST', '/', { 'Content-Length': 5 })}hello`);
    await connection.until((text) => text.split(ANSWER).length === round + 1);
  }
  expect(connection.text).not.toMatch(/connection: close/i);
  expect(connection.over).toBe(false);
  connection.close();
});

test('a body that was asked about first is not asked for', async () => {
  const connection = new RawConnection(port);
  await connection.write(head(port, 'POST', '/', { 'Content-Length': 100 * MIB, Expect: '100-continue' }));
  const text = await connection.ended();
  expect(text).toMatch(/^HTTP\/1\.1 413 /);
  expect(text.endsWith(ANSWER)).toBe(true);
  connection.close();
});

test('a request without a body is answered like any other', async () => {
  const connection = new RawConnection(port);
  for (const round of [1, 2]) {
    await connection.write(head(port, 'GET', '/'));
    await connection.until((text) => text.split(ANSWER).length === round + 1);
  }
  connection.close();
});
