// A visitor and the shop talk; the widget stands on a page of another origin.
import { describe, expect, it, onTestFinished } from 'vitest';
import { expectAccessible, Stage, until, useBrowser } from './harness';
import { answer, conversation, MEI, openChat, received, shown, theVisitor, write } from './visitor';

useBrowser();

async function open(setup = {}): Promise<Stage> {
  const stage = await Stage.open(setup);
  onTestFinished(() => stage.close());
  return stage;
}

describe('a conversation', () => {
  it('is held by keyboard alone, and gives the focus back', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    const focused = (): Promise<string | undefined> => page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.className);
    await page.locator('#before').focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Northwind Cold' }).waitFor();
    await page.keyboard.type('Hello, is anybody there?');
    await page.keyboard.press('Enter');
    await page.getByText('· Sent').waitFor();
    const visitor = await theVisitor(stage);
    await answer(stage, visitor, 'Yes! See https://shop.example/help.');
    const link = page.getByRole('log').getByRole('link', { name: 'https://shop.example/help' });
    expect(await link.getAttribute('href')).toBe('https://shop.example/help');
    expect(await link.getAttribute('rel')).toContain('noopener');
    await until(() => visitor.read === 2);
    for (const stop of ['send', 'close plain', 'log', '']) {
      await page.keyboard.press('Tab');
      expect(await focused()).toBe(stop);
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(await focused()).toBe('launcher');
  });

  it('shows line, agent, typing and read marks', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await openChat(page);
    await write(page, 'Hello');
    await page.getByText('You are number 1 in line.').waitFor();
    const visitor = await theVisitor(stage);
    const { world } = stage.fake;
    world.change(conversation(stage, visitor), { agent: { id: MEI.id, name: MEI.name }, state: 'open', waiting_since: null });
    await page.getByText('You are talking to Mei.').waitFor();
    world.push(visitor, { type: 'typing', from: 'agent', name: 'Mei', on: true });
    await page.getByText('Mei is typing').waitFor();
    world.push(visitor, { type: 'seen', by: 'agent', read: 1 });
    await page.getByText('· Read').waitFor();
    await page.reload();
    await page.getByText('· Read').waitFor();
    world.change(conversation(stage, visitor), { state: 'closed' });
    await page.getByText('This conversation has ended.').waitFor();
  });

  it('tells of unread messages while closed, and that they were read once opened', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await openChat(page);
    await write(page, 'Hello');
    await page.getByText('· Sent').waitFor();
    await page.keyboard.press('Escape');
    const visitor = await theVisitor(stage);
    await answer(stage, visitor, 'one');
    await answer(stage, visitor, 'two');
    await page.getByRole('button', { name: 'Open chat, 2 unread' }).waitFor();
    await until(() => visitor.delivered === 3);
    expect(visitor.read).toBe(0);
    await page.reload();
    await page.getByRole('button', { name: 'Open chat, 2 unread' }).waitFor();
    await openChat(page);
    await until(() => visitor.read === 3);
    expect(await page.locator('.badge').isVisible()).toBe(false);
  });

  it('costs the server nothing until the visitor opens the chat', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await page.locator('.launcher').waitFor();
    await page.waitForLoadState('networkidle');
    expect(stage.fake.calls).toEqual(['GET /widget.js']);
  });

  it('never turns words into markup', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await openChat(page);
    const evil = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script> javascript:alert(1)';
    await write(page, evil);
    await page.getByText('· Sent').waitFor();
    const visitor = await theVisitor(stage);
    stage.fake.world.reply(conversation(stage, visitor), { ...MEI, name: evil }, [
      { type: 'text', text: evil }, { type: 'image', url: 'javascript:window.hurt=1', name: evil }, { type: 'hologram', text: evil },
    ]);
    await page.getByText('This message cannot be shown here.').first().waitFor();
    expect((await shown(page)).filter((text) => text === evil).length).toBe(2);
    expect(await page.evaluate(() => (window as { hurt?: number }).hurt)).toBeUndefined();
    expect(await page.locator('.log a').count()).toBe(0);
  });
});

describe('accessibility', () => {
  for (const [locale, colorScheme] of [['en-GB', 'light'], ['zh-CN', 'dark']] as const) {
    it(`passes axe, ${locale}, ${colorScheme}`, async () => {
      const stage = await open();
      const page = await stage.page(await stage.site('data-colour="#f2b705"'), { locale, colorScheme });
      await expectAccessible(page);
      await openChat(page);
      await write(page, 'Hello https://shop.example/a');
      const visitor = await theVisitor(stage);
      await until(() => received(visitor).length === 1);
      await answer(stage, visitor, 'See https://shop.example/b');
      stage.fake.webchat.setup.onMessage = () => ({ code: 'too_large', retry: false });
      await write(page, 'too large');
      await page.getByRole('button', { name: /Try again|重试/ }).waitFor();
      await expectAccessible(page);
      stage.fake.faults.cut = true;
      stage.fake.dropSockets();
      await page.locator('.status.offline').waitFor();
      await expectAccessible(page);
    });
  }

  it('keeps readable contrast for any colour of the shop', async () => {
    const stage = await open();
    for (const colour of ['#ffe600', 'rebeccapurple', '#7f7f7f']) {
      const page = await stage.page(await stage.site(`data-colour="${colour}"`));
      await openChat(page);
      await write(page, 'Hello');
      await page.getByText('· Sent').waitFor();
      await expectAccessible(page);
    }
  });
});
