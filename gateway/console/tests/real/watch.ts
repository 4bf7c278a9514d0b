// A page that is watched: what it logs, what its sockets bring, whether it was loaded again.
import { deepEqual, equal } from 'node:assert/strict';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { barriers } from '../browser/chromium';

const PATIENCE_MS = 30_000;
/** What chromium itself logs, and no script can prevent, while a server is gone. */
const UNREACHABLE = /ERR_CONNECTION_|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|WebSocket connection to .* failed/;

export class Watched {
  /** Set while the server is known to be gone. */
  unreachable = false;
  readonly problems: string[] = [];
  /** Everything the server has told this page. */
  heard = '';
  loads = 0;

  private constructor(readonly page: Page) {}

  static async open(browser: Browser, url: string, options: BrowserContextOptions): Promise<Watched> {
    const context = await browser.newContext({ locale: 'en-GB', reducedMotion: 'reduce', ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    const watched = new Watched(await context.newPage());
    await watched.listen();
    await watched.page.goto(url);
    return watched;
  }

  private async listen(): Promise<void> {
    const { page } = this;
    page.on('pageerror', (error) => this.problems.push(`uncaught: ${String(error)}`));
    page.on('console', (message) => {
      const fault = message.type() === 'error' || message.type() === 'warning';
      if (fault && !(this.unreachable && UNREACHABLE.test(message.text()))) this.problems.push(`${message.text()} (${message.location().url})`);
    });
    page.on('load', () => (this.loads += 1));
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => (this.heard += String(payload))));
    page.on('response', (response) => {
      if (!/json/.test(response.headers()['content-type'] ?? '')) return;
      response.text().then((text) => (this.heard += text), () => undefined);
    });
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
  }

  /** Nothing was logged that should not be, and the page is one that everybody can use. */
  async expectClean(): Promise<void> {
    deepEqual(await barriers(this.page), []);
    deepEqual(this.problems, []);
  }

  expectLoads(times: number): void {
    equal(this.loads, times, 'the page was loaded again');
  }
}

/** Words that stand in a picture that has really been loaded. */
export function pictureLoaded(page: Page, name: string): Promise<unknown> {
  return page.waitForFunction((alt) => {
    const roots = [document, ...[...document.querySelectorAll('*')].flatMap((element) => element.shadowRoot ?? [])];
    const images = roots.flatMap((root) => [...root.querySelectorAll('img')]);
    return images.some((image) => image.alt === alt && image.complete && image.naturalWidth > 0);
  }, name);
}
