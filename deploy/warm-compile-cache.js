// Run while the image is built: starts everything that a server or worker loads, once, so that its compiled form is kept
// in the image. By TMPDIR, not NODE_COMPILE_CACHE: that would be looked at before the launcher has set V8's flags, on
// which the folder's name depends.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const TIMEOUT_MS = 120_000;
const windlass = (command, settings) =>
  spawn(process.execPath, ['--expose-gc', '--max-semi-space-size=8', '/app/bin/windlass.js', command], {
    env: { ...process.env, DATA_DIR: '/tmp/warm', PORT: '0', OPS_PORT: '0', MIN_FREE_BYTES: '0', LOG_LEVEL: 'info', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: TIMEOUT_MS,
  });
const ended = (child) => new Promise((resolve) => child.once('close', resolve));
const run = (command, settings) => {
  const child = windlass(command, settings);
  child.stdout.resume();
  return ended(child);
};

const server = windlass('all', {});
const over = ended(server);
for await (const line of createInterface({ input: server.stdout })) if (line.includes('"msg":"ready at')) server.kill('SIGTERM');
const code = await over;
if (code !== 0) throw new Error(`the server ended with ${code}`);

// Help tells of all commands, each of which is loaded for it.
await run('--help', {});

// The parts for production are loaded where they are chosen; that nobody answers at these addresses does not matter here.
await run('doctor', {
  MONGODB_URI: 'mongodb://127.0.0.1:1/windlass',
  RABBITMQ_URL: 'amqp://127.0.0.1:1',
  S3_BUCKET: 'windlass',
  S3_ENDPOINT: 'http://127.0.0.1:1',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
});
