// Uploads slowly, again and again, through a Service: a line for each upload, `ok STRATEGY ID SHA256` or `failed STRATEGY WHY`.
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';

const { WINDLASS_URL: base, WINDLASS_TOKEN: token } = process.env;
const PIECES = 10;
const PIECE_BYTES = 20_000;
const PAUSE_MS = 150;

// Process 1 gets no default action for signals.
process.on('SIGTERM', () => process.exit(0));

async function upload(strategy) {
  const bytes = randomBytes(PIECES * PIECE_BYTES);
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/octet-stream', 'Content-Length': bytes.length };
  // A connection of its own each time, as from many clients.
  const sending = request(`${base}/v1/uploads/${strategy}`, { method: 'POST', headers, agent: false });
  const answered = new Promise((resolve, reject) => sending.on('response', resolve).on('error', reject));
  answered.catch(() => undefined);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    sending.write(bytes.subarray(at, at + PIECE_BYTES));
    await pause(PAUSE_MS);
  }
  sending.end();
  const answer = await answered;
  const body = await text(answer);
  if (answer.statusCode >= 300) throw new Error(`${answer.statusCode} ${body}`);
  return `${JSON.parse(body).id} ${createHash('sha256').update(bytes).digest('hex')}`;
}

async function repeat(strategy) {
  for (;;)
    await upload(strategy).then(
      (done) => console.log(`ok ${strategy} ${done}`),
      (error) => console.log(`failed ${strategy} ${error.message}`),
    );
}

await Promise.all([repeat('direct'), repeat('relay')]);
