import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

test('npm start runs a server that ends in order when npm is told to', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'windlass-npm-'));
  const env = { ...process.env, DATA_DIR: dataDir, PORT: '0', OPS_PORT: '0', MIN_FREE_BYTES: '0' };
  // A group of its own, so that whatever npm leaves behind can be ended.
  const npm = spawn('npm', ['start'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const ended = new Promise((resolve) => {
    npm.once('exit', (code, signal) => {
      resolve(signal ?? code);
      endGroup(npm.pid as number);
    });
  });
  const said: string[] = [];
  for await (const line of createInterface({ input: npm.stdout })) {
    if (!line.startsWith('{')) continue;
    const { msg } = JSON.parse(line);
    said.push(msg);
    if (msg.startsWith('ready at')) npm.kill('SIGTERM');
  }
  expect(await ended).toBe(0);
  expect(said.at(-1)).toBe('stopped');
  await rm(dataDir, { recursive: true });
});

function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // Nothing is left of it, as it should be.
  }
}
