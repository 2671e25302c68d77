import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type RunningServer, runCommand, startServer } from '../support/server.ts';
import { describeInBrowser, launch } from './chromium.ts';
import { ConsolePage } from './console-page.ts';

const TEXT = { mimeType: 'text/plain', buffer: Buffer.from('some words') };

describeInBrowser('the console', () => {
  let browser: Browser;
  let server: RunningServer;

  beforeAll(async () => {
    browser = await launch();
    server = await startServer();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
  });

  test('asks nothing of other hosts, runs under a strict policy, and works on a phone', async () => {
    const phone = { viewport: { width: 360, height: 740 }, hasTouch: true };
    const console = await ConsolePage.open(browser, server.url, phone);
    await console.choose('direct', { name: `${'long-name-'.repeat(20)}.txt`, ...TEXT });
    await console.link('long-name-');
    await console.page
      .getByRole('button', { name: /^long-name-/ })
      .first()
      .click();
    await console.page.getByRole('heading', { name: 'History' }).waitFor();

    expect(await console.page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    const choose = await console.page.getByRole('button', { name: 'Choose files' }).boundingBox();
    expect(choose?.height).toBeGreaterThanOrEqual(40);
    expect(new Set(console.requests.map((request) => new URL(request.split(' ')[1] ?? '').origin))).toEqual(new Set([server.url]));
    const policy = (await fetch(server.url)).headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(console.faults).toEqual([]);
    await console.close();
  });

  test.each(['light', 'dark'] as const)('%s: text and background keep their distance', async (colorScheme) => {
    const console = await ConsolePage.open(browser, server.url, { colorScheme });
    const { text, quiet, back } = await colours(console.page);
    expect(luminance(back) > 0.5).toBe(colorScheme === 'light');
    // WCAG 2.2, 1.4.3.
    expect(contrast(text, back)).toBeGreaterThanOrEqual(7);
    expect(contrast(quiet, back)).toBeGreaterThanOrEqual(4.5);
    await console.close();
  });

  test('the list filters and turns pages', async () => {
    await using full = await startServer();
    const api = new ApiClient(full.url);
    for (let index = 0; index < 23; index += 1) {
      const headers = { 'Content-Disposition': `attachment; filename="file-${index}.txt"` };
      await api.raw(index === 3 ? 'relay' : 'direct', `text ${index}`, {
        type: 'text/plain',
        headers,
        query: index === 5 ? { resourceType: 'post', resourceId: '7' } : {},
      });
    }
    const console = await ConsolePage.open(browser, full.url);
    const { page } = console;
    const strategy = page.getByRole('combobox', { name: 'Strategy' });
    await console.row('file-22.txt').waitFor();
    expect(await console.row('file-2.txt').count()).toBe(0);
    await page.getByRole('button', { name: 'Older' }).click();
    await console.row('file-2.txt').waitFor();
    expect(await page.getByRole('button', { name: 'Older' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Newer' }).click();
    await console.row('file-22.txt').waitFor();

    await strategy.selectOption('relay');
    await console.row('file-22.txt').waitFor({ state: 'detached' });
    await console.row('file-3.txt').waitFor();
    await strategy.selectOption('');
    await page.getByLabel('Resource type').fill('post');
    await page.getByLabel('Resource id').fill('7');
    await page.getByRole('button', { name: 'Refresh' }).click();
    await eventually(async () => expect(await page.locator('tbody tr[data-id]').count()).toBe(1));
    await console.row('file-5.txt').waitFor();
    await page.getByLabel('Resource id').fill('8');
    await page.keyboard.press('Enter');
    await page.getByText('No upload matches these filters.').waitFor();
    await console.close();
  });

  test('deleting takes a confirmation, and all of it works from the keyboard', async () => {
    const console = await ConsolePage.open(browser, server.url);
    const { page } = console;
    await console.choose('direct', { name: 'unwanted.txt', ...TEXT });
    const link = await console.link('unwanted.txt');
    await console.row('unwanted.txt').getByRole('button').focus();
    await page.keyboard.press('Enter');
    const remove = page.getByRole('button', { name: 'Delete unwanted.txt' });
    await remove.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Delete unwanted.txt?' });
    await dialog.waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect((await fetch(link)).status).toBe(200);

    await page.keyboard.press('Enter');
    await dialog.waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await console.row('unwanted.txt').waitFor({ state: 'detached' });
    expect((await fetch(link)).status).toBe(404);
    expect(await page.evaluate('document.activeElement.tagName')).toBe('BUTTON');
    expect(console.faults).toEqual([]);
    await console.close();
  });

  test('asks for a token where one is needed, keeps it for the tab, and shows the queue to operators alone', async () => {
    const folder = join(server.dataDir, 'with-tokens');
    const TOKENS_FILE = join(server.dataDir, 'tokens');
    const make = async (scopes: string): Promise<string> =>
      (await runCommand(['token', '--tenant', 'acme', '--scopes', scopes], { TOKENS_FILE })).stdout.trim();
    const [user, operator] = [await make('uploads:read,uploads:write'), await make('uploads:read,uploads:write,admin')];
    await using guarded = await startServer({ TOKENS_FILE }, { dataDir: folder });
    const console = await ConsolePage.open(browser, guarded.url);
    const { page } = console;
    const field = page.getByLabel('Token', { exact: true });
    const queue = page.getByRole('region', { name: 'Queue' });

    await field.fill('wl_wrong');
    await page.getByRole('button', { name: 'Use this token' }).click();
    await page.getByText('The token is not known here.').waitFor();
    await field.fill(user);
    await page.getByRole('button', { name: 'Use this token' }).click();
    await page.getByText('Nothing has been uploaded yet.').waitFor();
    for (const strategy of ['direct', 'relay', 'presign'] as const) {
      await console.choose(strategy, { name: `${strategy}.txt`, ...TEXT });
      await console.link(`${strategy}.txt`);
    }
    await page.reload();
    await console.row('relay.txt').waitFor();
    expect(await field.isVisible()).toBe(false);
    expect(await queue.isVisible()).toBe(false);
    await console.row('relay.txt').getByRole('button').click();
    // What a page cannot do by itself in a test is to show the dialog that chooses where to save.
    await page.evaluate(() => Reflect.deleteProperty(globalThis, 'showSaveFilePicker'));
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download relay.txt' }).click();
    expect((await download).suggestedFilename()).toBe('relay.txt');

    await page.getByRole('button', { name: 'Forget token' }).click();
    await field.fill(operator);
    await page.getByRole('button', { name: 'Use this token' }).click();
    await queue.waitFor();
    expect(console.faults).toEqual([]);
    await console.close();
  });

  test('what failed for good is shown with its reason, and can be tried again', async () => {
    await using broken = await startServer({ JOB_ATTEMPTS: '1' });
    const store = join(broken.dataDir, 'store');
    await rm(store, { recursive: true, force: true });
    await writeFile(store, 'no folder');
    const console = await ConsolePage.open(browser, broken.url);
    const { page } = console;
    await console.choose('relay', { name: 'stuck.txt', ...TEXT });
    await console.task('stuck.txt').getByText('The upload failed').waitFor();
    const letters = page.getByRole('region', { name: 'Queue' });
    await letters.getByText('stuck.txt').waitFor();
    await letters.getByRole('link', { name: 'store_unavailable' }).waitFor();

    await rm(store);
    await mkdir(store);
    await letters.getByRole('button', { name: 'Redrive stuck.txt' }).click();
    await console.row('stuck.txt').getByText('stored').waitFor();
    await letters.getByText('None: no upload has failed for good.').waitFor();
    await console.close();
  });

  test('a relay is followed while it is tried, and across a restart of the server', async () => {
    const PORT = String(await freePort());
    await using first = await startServer({ PORT, JOB_ATTEMPTS: '100', RETRY_BASE_SECONDS: '1' });
    const store = join(first.dataDir, 'store');
    await rm(store, { recursive: true, force: true });
    await writeFile(store, 'no folder');
    const console = await ConsolePage.open(browser, first.url);
    const { page } = console;
    await console.choose('relay', { name: 'patient.txt', ...TEXT });
    await console.row('patient.txt').getByRole('button').click();
    // The list was read once: that the history grows comes from events.
    await page
      .getByRole('listitem')
      .filter({ hasText: /^relaying/ })
      .nth(2)
      .waitFor();
    await first.kill();

    const resumed = page.waitForRequest((request) => request.url().endsWith('/events') && 'last-event-id' in request.headers());
    await using _second = await first.restart();
    await resumed;
    await rm(store);
    await mkdir(store);
    await console.link('patient.txt');
    await console.row('patient.txt').getByText('stored').waitFor();
    expect(console.faults).toEqual([]);
    await console.close();
  });
});

const colours = (page: Page): Promise<Record<'text' | 'quiet' | 'back', string>> =>
  page.evaluate(`({
    text: getComputedStyle(document.querySelector('main')).color,
    quiet: getComputedStyle(document.querySelector('.quiet')).color,
    back: getComputedStyle(document.querySelector('.panel')).backgroundColor,
  })`);

/** Relative luminance (WCAG 2.2) of `rgb(r, g, b)`. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = (colour.match(/\d+/g) ?? []).map((digits) => {
    const part = Number(digits) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}
