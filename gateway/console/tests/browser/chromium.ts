// What every test with a real browser needs, whoever runs it. A missing browser is a failure, never a skip.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium, type Browser, type Page } from 'playwright-core';

const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ARGS });
}

/** Rule and element of everything that a person with a disability would stumble over. */
export async function barriers(page: Page): Promise<string[]> {
  // Evaluated through the debugger, so the page's content security policy does not forbid it.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(options: object): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } };
    const result = await axe.run({ resultTypes: ['violations'] });
    return result.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`).join(' | ')}`);
  });
}

/** Waits for the thing itself, up to a deadline. */
export async function until(what: () => boolean | Promise<boolean>, deadlineMs = 15_000): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what.toString()}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}
