import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { ApiClient } from '../support/api-client.ts';
import { freePort } from '../support/free-port.ts';
import { type RunningServer, startServer } from '../support/server.ts';
import { describeInBrowser, launch } from './chromium.ts';
import { ConsolePage, digestAt, FilesToSend } from './console-page.ts';
import { FlakyLine } from './flaky-line.ts';

const SIZE = 3_000_001;

describeInBrowser('sending files from the console', () => {
  let browser: Browser;
  let files: FilesToSend;
  let server: RunningServer;

  beforeAll(async () => {
    browser = await launch();
    files = await FilesToSend.create();
    server = await startServer();
  });

  afterAll(async () => {
    await browser?.close();
    await Promise.all([server?.[Symbol.asyncDispose](), files?.[Symbol.asyncDispose]()]);
  });

  test.each(['direct', 'relay', 'presign'] as const)('%s: the bytes arrive, the link gives them back', async (strategy) => {
    const name = `${strategy} file.bin`;
    const { path, sha256 } = await files.add(name, SIZE);
    const console = await ConsolePage.open(browser, server.url);
    await console.page.getByRole('textbox', { name: 'Type', exact: true }).fill('post');
    await console.page.getByRole('textbox', { name: 'Id', exact: true }).fill('42');
    await console.choose(strategy, path);

    expect(await digestAt(await console.link(name))).toBe(sha256);
    const row = console.row(name);
    await row.getByText('stored').waitFor();
    await row.getByRole('button', { name }).click();
    await console.page.getByText(sha256).waitFor();
    const { body } = await new ApiClient(server.url).get(`/v1/uploads?strategy=${strategy}`);
    expect(body.items).toEqual([expect.objectContaining({ filename: name, resource: { type: 'post', id: '42' }, size: SIZE })]);
    expect(console.faults).toEqual([]);
    await console.close();
  });

  test('only what the server offers can be chosen, and is', async () => {
    await using presigning = await startServer({ STRATEGIES: 'relay,presign' });
    const console = await ConsolePage.open(browser, presigning.url);
    const radios = console.page.getByRole('radio');
    expect(await radios.evaluateAll((all) => all.map((one) => one.getAttribute('value')))).toEqual(['relay', 'presign']);
    expect(await console.page.getByRole('radio', { checked: true }).getAttribute('value')).toBe('relay');
    expect(console.faults).toEqual([]);
    await console.close();
  });

  test('several files at once, among them an empty one and one whose name looks like markup', async () => {
    const console = await ConsolePage.open(browser, server.url);
    const empty = await files.add('empty.txt', 0);
    const hostile = await files.add('<img src=x onerror=alert(1)>\'"&.txt', 10);
    const many = await Promise.all(Array.from({ length: 6 }, (_, index) => files.add(`batch-${index}.bin`, 200_000)));
    await console.choose(
      'relay',
      [empty, hostile, ...many].map(({ path }) => path),
    );

    for (const name of ['empty.txt', '<img src=x onerror=alert(1)>\'"&.txt', 'batch-0.bin', 'batch-5.bin']) await console.link(name);
    await console.row('<img src=x onerror=alert(1)>\'"&.txt').waitFor();
    expect(await console.page.locator('img').count()).toBe(0);
    expect(console.faults).toEqual([]);
    await console.close();
  });

  test('a refusal is explained: what happened, what to do, and where to read more', async () => {
    await using small = await startServer({ MAX_UPLOAD_BYTES: '1KiB' });
    const console = await ConsolePage.open(browser, small.url);
    await console.choose('presign', { name: 'large.bin', mimeType: '', buffer: Buffer.alloc(2048) });

    const task = console.task('large.bin');
    await task.getByText('The file has 2048 bytes; at most 1024 are taken.').waitFor();
    await task.getByText('Larger files need a higher MAX_UPLOAD_BYTES.').waitFor();
    const href = await task.getByRole('link', { name: 'too_large' }).getAttribute('href');
    const page = await fetch(new URL(href ?? '', small.url));
    expect(await page.text()).toContain('id="too_large"');
    await console.close();
  });

  test('when the answer is lost, the file can be sent again and there is still one upload', async () => {
    let port = 0;
    await using line = await FlakyLine.open(() => port);
    await using behind = await startServer({ PUBLIC_URL: `http://127.0.0.1:${line.port}` });
    port = behind.port;
    const { path, sha256 } = await files.add('once.bin', SIZE);
    const console = await ConsolePage.open(browser, `http://127.0.0.1:${line.port}`);
    await console.page.getByText('Nothing has been uploaded yet.').waitFor();

    line.loseAnswers();
    await console.choose('direct', path);
    await console.task('once.bin').getByText('Connection lost').waitFor();
    line.up();
    await console.task('once.bin').getByRole('button', { name: 'Try again' }).click();

    expect(await digestAt(await console.link('once.bin'))).toBe(sha256);
    const { body } = await new ApiClient(behind.url).get('/v1/uploads');
    expect(body.items).toHaveLength(1);
    await console.close();
  });

  test('a link to another origin works when CORS_ORIGINS names the page, and the failure is explained when not', async () => {
    const port = await freePort();
    const page = `http://localhost:${port}`;
    const links = `http://127.0.0.1:${port}`;
    for (const [allowed, origins] of [
      [true, `${page},${links}`],
      [false, links],
    ] as const) {
      await using server = await startServer({ PORT: String(port), PUBLIC_URL: links, CORS_ORIGINS: origins });
      const { path, sha256 } = await files.add('across.bin', SIZE);
      const console = await ConsolePage.open(browser, page);
      await console.choose('presign', path);
      if (allowed) {
        expect(await digestAt(await console.link('across.bin'))).toBe(sha256);
        expect(console.requests.filter((line) => line.startsWith(`PUT ${links}/store/`))).toHaveLength(1);
      } else {
        await console.task('across.bin').getByText('the store may not let pages of this origin in (CORS)').waitFor();
      }
      await console.close();
      await server.stop();
    }
  });
});
