import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { digestOf, RandomFile } from '../support/random-file.ts';

export type Strategy = 'direct' | 'relay' | 'presign';

/** What only a fault of the page can cause. */
const FAULT = /content security policy|trusted(?:html|script)|uncaught|is not a function|cannot read properties/i;

/** The console as a person uses it: by labels, names of buttons and what is to be read. */
export class ConsolePage {
  readonly page: Page;
  /** Errors of the page itself, violations of its policy included. */
  readonly faults: string[] = [];
  /** Every address that was asked for. */
  readonly requests: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on('pageerror', (error) => this.faults.push(error.message));
    page.on('console', (message) => FAULT.test(message.text()) && this.faults.push(message.text()));
    page.on('request', (request) => this.requests.push(`${request.method()} ${request.url()}`));
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<ConsolePage> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const console = new ConsolePage(page);
    await page.goto(url);
    return console;
  }

  async choose(strategy: Strategy, files: string | string[] | { name: string; mimeType: string; buffer: Buffer }): Promise<void> {
    await this.page.getByRole('radio', { name: new RegExp(`^${strategy}`, 'i') }).check();
    await this.page.getByLabel('Files to send').setInputFiles(files);
  }

  /** The newest row of this session for a file. */
  task(name: string): Locator {
    return this.page.getByRole('region', { name: 'This session' }).getByRole('listitem').filter({ hasText: name }).first();
  }

  /** A row of the list of uploads. */
  row(name: string): Locator {
    return this.page
      .getByRole('region', { name: 'Uploads' })
      .getByRole('row')
      .filter({ has: this.page.getByRole('button', { name, exact: true }) });
  }

  /** Waits until a file of this session is stored, and gives its link. */
  async link(name: string): Promise<string> {
    const link = this.task(name).getByRole('link', { name: /\/content$/ });
    await link.waitFor();
    return (await link.getAttribute('href')) ?? '';
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

/** A folder with files for the file chooser, which wants them on disk. */
export class FilesToSend {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(): Promise<FilesToSend> {
    return new FilesToSend(await mkdtemp(join(tmpdir(), 'windlass-browser-')));
  }

  async add(name: string, size: number): Promise<{ path: string; sha256: string }> {
    const file = new RandomFile(size, name);
    const path = join(this.#folder, name);
    await writeFile(path, file.stream());
    return { path, sha256: await file.sha256() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** SHA-256 of what a link gives. */
export async function digestAt(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`${url} was answered ${response.status}`);
  return (await digestOf(response.body)).sha256;
}
