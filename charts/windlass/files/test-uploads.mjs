// `helm test`: uploads a file by each strategy that is offered, reads it back, compares digests, and removes it; the others
// must be refused.
import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';

// biome-ignore lint/style/noProcessEnv: a program of its own, which the chart puts into a pod.
const { WINDLASS_URL: base, WINDLASS_TOKEN: token, STORE_ADDRESS: storeAddress, STRATEGIES: offered } = process.env;
const TYPE = 'application/octet-stream';
const bytes = randomBytes(3_000_000);
const sha256Of = (data) => createHash('sha256').update(data).digest('hex');
const sha256 = sha256Of(bytes);

// Process 1 gets no default action for signals.
process.on('SIGTERM', () => process.exit(1));

const api = (method, path, { body, headers = {} } = {}) =>
  fetch(`${base}${path}`, { method, body, redirect: 'manual', headers: { Authorization: `Bearer ${token.trim()}`, ...headers } });

async function expected(status, answer) {
  if (answer.status === status) return answer;
  throw new Error(`${answer.url || 'the store'} was answered ${answer.status}, not ${status}: ${await answer.text()}`);
}

// Follows a signed link. The host is signed, too: where that name means nothing in here, only the connection goes elsewhere.
async function store(method, link, { headers = {}, body } = {}) {
  const url = new URL(link);
  const [host, port] = (storeAddress ?? '').split(':');
  const place = storeAddress ? { host, port, servername: url.hostname } : { host: url.hostname, port: url.port };
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const length = body ? { 'Content-Length': body.length } : {};
  return new Promise((resolve, reject) => {
    const sending = send({ ...place, method, path: url.pathname + url.search, headers: { ...headers, ...length, Host: url.host } });
    sending.on('error', (error) => reject(new Error(`${method} ${url.origin} failed: ${error.message}`)));
    sending.on('response', async (answer) => {
      const content = await buffer(answer);
      resolve({ status: answer.statusCode, bytes: async () => content, text: async () => String(content) });
    });
    sending.end(body);
  });
}

async function direct() {
  const answer = await expected(201, await api('POST', '/v1/uploads/direct', { body: bytes, headers: { 'Content-Type': TYPE } }));
  return answer.json();
}

async function relay() {
  const answer = await expected(202, await api('POST', '/v1/uploads/relay', { body: bytes, headers: { 'Content-Type': TYPE } }));
  const { id } = await answer.json();
  return settled(id);
}

async function settled(id) {
  return (await expected(200, await api('GET', `/v1/uploads/${id}`, { headers: { Prefer: 'wait=60' } }))).json();
}

async function presign() {
  const order = JSON.stringify({ filename: 'helm-test.bin', contentType: TYPE, size: bytes.length });
  const headers = { 'Content-Type': 'application/json' };
  const { upload, request } = await (await expected(201, await api('POST', '/v1/uploads/presign', { body: order, headers }))).json();
  await expected(200, await store(request.method, request.url, { headers: request.headers, body: bytes }));
  const completed = await api('POST', `/v1/uploads/${upload.id}/complete`);
  if (completed.status !== 202) await expected(200, completed);
  return settled(upload.id);
}

async function contentOf(id) {
  const answer = await api('GET', `/v1/uploads/${id}/content`);
  if (answer.status === 307) return (await expected(200, await store('GET', answer.headers.get('Location')))).bytes();
  return Buffer.from(await (await expected(200, answer)).arrayBuffer());
}

async function check(strategy, upload) {
  if (upload.state !== 'stored') throw new Error(`the upload is ${upload.state}: ${JSON.stringify(upload.error)}`);
  if (upload.sha256 !== sha256) throw new Error(`the record has another SHA-256: ${upload.sha256}`);
  const read = sha256Of(await contentOf(upload.id));
  if (read !== sha256) throw new Error(`what was read has another SHA-256: ${read}`);
  await expected(204, await api('DELETE', `/v1/uploads/${upload.id}`));
  console.log(`ok      ${strategy}: ${bytes.length} bytes, SHA-256 ${read}`);
}

async function refused(strategy) {
  const answer = await expected(
    404,
    await api('POST', `/v1/uploads/${strategy}`, { body: '{}', headers: { 'Content-Type': 'application/json' } }),
  );
  console.log(`ok      ${strategy}: refused. ${(await answer.json()).detail}`);
}

for (const [strategy, upload] of Object.entries({ direct, relay, presign })) {
  try {
    if (offered.split(',').includes(strategy)) await check(strategy, await upload());
    else await refused(strategy);
  } catch (error) {
    console.error(`FAILED  ${strategy}: ${error.cause?.message ?? error.message}`);
    process.exitCode = 1;
  }
}
