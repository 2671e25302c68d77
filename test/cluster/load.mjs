// A steady load through a Service, as from many clients: a line of JSON for each upload, once it has ended. Ends on
// SIGUSR2, when what is under way has come to its end.
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';

// STORE_ADDRESS: where the store is reached from in here; the host of links is signed, and another one.
const { WINDLASS_URL: base, WINDLASS_TOKEN: token, STORE_ADDRESS: storeAddress, TERMS } = process.env;
// As in rollout-terms.ts: bytes, milliseconds, seconds.
const { sizes: SIZES, paceMs: PACE_MS, slow: SLOW } = JSON.parse(TERMS);
const TYPE = 'application/octet-stream';
const PIECES = 40;
/** Nothing here is silent for so long: packets to a pod that is gone can go nowhere, and no one says so. */
const SILENCE_MS = 30_000;

let stopping = false;
// Process 1 gets no default action for signals.
process.on('SIGTERM', () => process.exit(0));
process.on('SIGUSR2', () => {
  stopping = true;
});

class Refusal extends Error {
  constructor(step, status, answer) {
    super(`${step} was answered ${status}: ${answer}`);
    this.status = status;
  }
}

/** Sends `bytes` over `slowMs`, on a connection of its own. */
async function send(step, method, url, { headers = {}, bytes = Buffer.alloc(0), slowMs = 0, at } = {}) {
  const target = new URL(url);
  const [hostname, port] = at?.split(':') ?? [target.hostname, target.port];
  const place = { hostname, port, path: target.pathname + target.search, agent: false, timeout: SILENCE_MS };
  const sending = request({ ...place, method, headers: { ...headers, Host: target.host, 'Content-Length': bytes.length } });
  sending.on('timeout', () => sending.destroy(new Error('no answer')));
  const answered = new Promise((resolve, reject) => {
    sending.on('response', resolve).on('error', (error) => reject(new Error(`${step} failed: ${error.message || error.code}`)));
  });
  // Looked at when everything is sent.
  answered.catch(() => undefined);
  const piece = Math.ceil(bytes.length / PIECES);
  for (let from = 0; slowMs > 0 && from < bytes.length && !sending.destroyed; from += piece) {
    sending.write(bytes.subarray(from, from + piece));
    await pause(slowMs / PIECES);
  }
  sending.end(slowMs > 0 ? undefined : bytes);
  const answer = await answered;
  const body = await text(answer);
  if (answer.statusCode >= 300) throw new Refusal(step, answer.statusCode, body);
  return body;
}

const authorized = { Authorization: `Bearer ${token}` };

async function through(strategy, bytes, slowMs) {
  const headers = { ...authorized, 'Content-Type': TYPE };
  return JSON.parse(await send(strategy, 'POST', `${base}/v1/uploads/${strategy}`, { headers, bytes, slowMs })).id;
}

async function presigned(bytes, slowMs) {
  const order = Buffer.from(JSON.stringify({ filename: 'load.bin', contentType: TYPE, size: bytes.length }));
  const headers = { ...authorized, 'Content-Type': 'application/json' };
  const { upload, request: link } = JSON.parse(await send('presign', 'POST', `${base}/v1/uploads/presign`, { headers, bytes: order }));
  await send('link', link.method, link.url, { headers: link.headers, bytes, slowMs, at: storeAddress });
  await send('complete', 'POST', `${base}/v1/uploads/${upload.id}/complete`, { headers: authorized });
  return upload.id;
}

async function attempt(lane, strategy, size, slowMs) {
  const bytes = randomBytes(size);
  const begun = new Date().toISOString();
  const outcome = await (strategy === 'presign' ? presigned(bytes, slowMs) : through(strategy, bytes, slowMs)).then(
    (id) => ({ ok: true, id, size, sha256: createHash('sha256').update(bytes).digest('hex') }),
    (error) => ({ ok: false, status: error.status ?? 0, problem: error.message }),
  );
  console.log(JSON.stringify({ lane, strategy, begun, ended: new Date().toISOString(), ...outcome }));
}

async function lane(name, strategy, sizes, slowMs, paceMs) {
  for (let count = 0; !stopping; count += 1) {
    await attempt(name, strategy, sizes[count % sizes.length], slowMs);
    await pause(paceMs);
  }
}

await Promise.all([
  ...['direct', 'relay', 'presign'].map((strategy) => lane(strategy, strategy, SIZES, 0, PACE_MS)),
  ...SLOW.map(({ strategy, bytes, seconds }) => lane(`slow ${strategy}`, strategy, [bytes], seconds * 1000, 0)),
]);
