// A visitor and the shop talk; the widget stands on a page of another origin.
import { describe, expect, it, onTestFinished } from 'vitest';
import { expectAccessible, Stage, until, useBrowser } from './harness';

useBrowser();

async function open(setup = {}): Promise<Stage> {
  const stage = await Stage.open(setup);
  onTestFinished(() => stage.close());
  return stage;
}

describe('conversation', () => {
  it('sends by keyboard alone, shows the answer, and gives the focus back', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await page.locator('#before').focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Northwind Cold' }).waitFor();
    await page.keyboard.type('Hello, is anybody there?');
    await page.keyboard.press('Enter');
    await page.getByText('Sent').waitFor();
    const [visitor] = stage.fake.world.visitors.values();
    const conversation = stage.fake.world.conversationOf(visitor!);
    stage.fake.world.agents.push({ id: 'a1', name: 'Mei', role: 'agent', capacity: 5, load: 0, presence: 'online', groups: [] });
    stage.fake.world.reply(conversation, stage.fake.world.agents[0]!, [{ type: 'text', text: 'Yes! See https://shop.example/help.' }]);
    await page.getByRole('log').getByText('Yes! See').waitFor();
    const link = page.getByRole('link', { name: 'https://shop.example/help' });
    expect(await link.getAttribute('href')).toBe('https://shop.example/help');
    expect(await link.getAttribute('rel')).toContain('noopener');
    await until(() => visitor!.read === 2);
    await expectAccessible(page);
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(await page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.className)).toBe('launcher');
  });
});
