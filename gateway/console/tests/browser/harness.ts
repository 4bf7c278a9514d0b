// One chromium per test file, with a fresh profile per context.
import { fileURLToPath } from 'node:url';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { startFake, type Fake } from '../../fake/server';
import type { WebchatSetup } from '../../fake/webchat';
import { barriers, launch } from './chromium';

export { until } from './chromium';

export const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

export let browser: Browser;

/** Starts chromium for this file. */
export function useBrowser(): void {
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());
}

/** What a test leaves behind is closed even when it fails; and it must not have broken the protocol or logged errors. */
export class Stage {
  fake!: Fake;
  errors: string[] = [];
  private servers: Server[] = [];
  private contexts: BrowserContext[] = [];

  static async open(setup: Partial<WebchatSetup> = {}): Promise<Stage> {
    const stage = new Stage();
    stage.fake = await startFake(DIST, setup);
    return stage;
  }

  async context(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await browser.newContext({ locale: 'en-GB', reducedMotion: 'reduce', ...options });
    context.setDefaultTimeout(15_000);
    this.contexts.push(context);
    return context;
  }

  async page(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await this.context(options)).newPage();
    page.on('pageerror', (error) => this.errors.push(String(error)));
    await page.goto(url);
    return page;
  }

  /** With SCREENSHOTS=folder, what stood on every page at the end: the quickest way to see why a test failed. */
  private async picture(): Promise<void> {
    const folder = process.env['SCREENSHOTS'];
    const name = (expect.getState().currentTestName ?? 'test').replace(/\W+/g, '-');
    const pages = folder ? this.contexts.flatMap((context) => context.pages()) : [];
    for (const [index, page] of pages.entries()) await page.screenshot({ path: `${folder}/${name}-${index}.png` });
  }

  /** A foreign page with the widget on it: another origin than the server's, as in real life. */
  async site(attributes = '', more = ''): Promise<string> {
    const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title></head><body><main><h1>Shop</h1><button id="before">Before</button>${more}</main>
      <script src="${this.fake.origin}/widget.js" data-channel="web" ${attributes} defer></script></body></html>`;
    const server = createServer((_request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(html));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    this.servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  async close(): Promise<void> {
    await this.picture();
    for (const context of this.contexts) await context.close();
    for (const server of this.servers) server.closeAllConnections?.(), server.close();
    await this.fake.close();
    expect(this.fake.world.violations).toEqual([]);
    expect(this.errors).toEqual([]);
  }
}

/** Fails with the rule and the element when axe finds something a person with a disability would stumble over. */
export async function expectAccessible(page: Page): Promise<void> {
  expect(await barriers(page)).toEqual([]);
}
