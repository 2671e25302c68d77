import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type RunningServer, startServer } from '../support/server.ts';
import { describeInBrowser, launch } from './chromium.ts';
import { ConsolePage, digestAt, FilesToSend } from './console-page.ts';
import { FlakyLine } from './flaky-line.ts';

const MIB = 1024 ** 2;
/** Six parts of 5 MiB and one of a single byte. */
const SIZE = 30 * MIB + 1;
const ALL = [1, 2, 3, 4, 5, 6, 7];
/** More than three unfinished parts can have: by then at least one is complete. */
const SOME_PARTS = 17 * MIB;

describeInBrowser('multipart uploads from the console', () => {
  let browser: Browser;
  let files: FilesToSend;
  let server: RunningServer;
  /** Carries what goes to the store, and nothing else. */
  let line: FlakyLine;
  let console: ConsolePage;

  beforeAll(async () => {
    browser = await launch();
    files = await FilesToSend.create();
  });

  afterAll(async () => {
    await browser?.close();
    await files?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    const port = await freePort();
    line = await FlakyLine.open(() => port);
    server = await startServer({
      PORT: String(port),
      PUBLIC_URL: `http://127.0.0.1:${line.port}`,
      CORS_ORIGINS: `http://localhost:${port}`,
      SINGLE_PART_BYTES: '5MiB',
      PART_BYTES: '5MiB',
    });
    console = await ConsolePage.open(browser, server.url);
  });

  afterEach(async () => {
    await console?.close();
    await line?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    expect(console?.faults).toEqual([]);
  });

  /** Numbers of the parts that were sent since the first `skip` requests. */
  const partsSent = (skip = 0): number[] =>
    console.requests
      .slice(skip)
      .filter((request) => request.startsWith('PUT '))
      .map((request) => Number(/[?&]part=(\d+)/.exec(request)?.[1]))
      .sort((a, b) => a - b);

  /** Does what makes the page ask which parts the store has, and gives those that are missing. */
  async function missingParts(resume: () => Promise<void>): Promise<number[]> {
    const answer = console.page.waitForResponse((response) => response.request().method() === 'GET' && response.url().endsWith('/parts'));
    await resume();
    const { parts }: { parts: { partNumber: number }[] } = await (await answer).json();
    const stored = new Set(parts.map(({ partNumber }) => partNumber));
    return ALL.filter((part) => !stored.has(part));
  }

  /** Sends the file until the line stands still with some of its parts in the store. */
  async function sendHalf(path: string, name: string): Promise<void> {
    line.holdAfter(SOME_PARTS);
    await console.choose('presign', path);
    await console
      .task(name)
      .getByText(/[1-6] of 7 parts/)
      .waitFor();
  }

  test('each part is sent once, and the whole is what it was', async () => {
    const { path, sha256 } = await files.add('whole.bin', SIZE);
    await console.choose('presign', path);
    expect(await digestAt(await console.link('whole.bin'))).toBe(sha256);
    expect(partsSent()).toEqual(ALL);
  });

  test('pause and resume: what has arrived is not sent again', async () => {
    const { path, sha256 } = await files.add('half-way.bin', SIZE);
    await sendHalf(path, 'half-way.bin');
    await console.task('half-way.bin').getByRole('button', { name: 'Pause' }).click();
    await console
      .task('half-way.bin')
      .getByText(/^Paused\. [1-6] of 7 parts$/)
      .waitFor();
    line.release();
    const before = console.requests.length;

    const missing = await missingParts(() => console.task('half-way.bin').getByRole('button', { name: 'Resume' }).click());
    expect(await digestAt(await console.link('half-way.bin'))).toBe(sha256);
    expect(missing.length).toBeLessThan(ALL.length);
    expect(partsSent(before)).toEqual(missing);
  });

  test('a line that goes down and comes back costs a pause: nobody has to do anything', async () => {
    const { path, sha256 } = await files.add('dropped.bin', SIZE);
    await sendHalf(path, 'dropped.bin');
    line.down();
    await console
      .task('dropped.bin')
      .getByText(/Connection lost at part \d\. Trying again in \d+ s/)
      .waitFor();
    line.up();
    expect(await digestAt(await console.link('dropped.bin'))).toBe(sha256);
  });

  test('after a reload, choosing the same file again goes on where it ended', async () => {
    const { path, sha256 } = await files.add('reloaded.bin', SIZE);
    await sendHalf(path, 'reloaded.bin');
    console.page.on('dialog', (dialog) => dialog.accept());
    await console.page.reload();
    line.release();
    await console.page.getByText('Interrupted. Choose the same file again').waitFor();
    const before = console.requests.length;

    const missing = await missingParts(() => console.choose('presign', path));
    expect(await digestAt(await console.link('reloaded.bin'))).toBe(sha256);
    expect(missing.length).toBeLessThan(ALL.length);
    expect(partsSent(before)).toEqual(missing);
    expect(await console.page.getByText('Interrupted.').count()).toBe(0);
    const { body } = await new ApiClient(server.url).get('/v1/uploads');
    expect(body.items).toHaveLength(1);
  });

  test('cancelling removes what had been begun', async () => {
    const { path } = await files.add('unwanted.bin', SIZE);
    await sendHalf(path, 'unwanted.bin');
    await console.task('unwanted.bin').getByRole('button', { name: 'Cancel' }).click();
    await console.task('unwanted.bin').getByText('Cancelled.').waitFor();
    await eventually(async () => {
      const { body } = await new ApiClient(server.url).get('/v1/uploads');
      expect(body.items).toEqual([]);
    });
  });
});
