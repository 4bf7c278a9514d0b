// An agent's day: sign-in, lists, replies, notes, hand-over, by keyboard and by mouse.
import { describe, expect, it, onTestFinished } from 'vitest';
import { inbound, openStory, shop, signIn, story, words } from './desk';
import { expectAccessible, until, useBrowser, type Stage } from './harness';
import { openChat, write } from './visitor';

useBrowser();

async function open(): Promise<Stage> {
  const stage = await shop();
  onTestFinished(() => stage.close());
  return stage;
}

describe('signing in', () => {
  it('refuses an unknown token, keeps a good one for the tab, and forgets it on sign-out', async () => {
    const stage = await open();
    const page = await stage.page(`${stage.fake.origin}/console/`);
    await page.locator('#token').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('This token is not known').waitFor();
    await page.locator('#token').fill('pb_tom');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Tom Becker', { exact: true }).waitFor();
    expect(await page.evaluate(() => localStorage.getItem('patchbay.token'))).toBeNull();
    await page.reload();
    await page.getByText('Tom Becker', { exact: true }).waitFor();
    await page.locator('.myself summary').click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.locator('#token').waitFor();
    await page.reload();
    await page.locator('#token').waitFor();
  });

  it('signs out when the token is withdrawn', async () => {
    const stage = await open();
    const page = await signIn(stage);
    await page.locator('.row').first().waitFor();
    await page.waitForLoadState('networkidle');
    stage.fake.world.tokens = [];
    await page.getByRole('combobox', { name: 'Your presence' }).selectOption('away');
    await page.locator('#token').waitFor();
  });
});

it('holds a conversation with a visitor by keyboard alone', async () => {
  const stage = await open();
  const visitor = await stage.page(await stage.site());
  await openChat(visitor);
  const page = await signIn(stage);
  await page.keyboard.press('g');
  await page.keyboard.press('w');
  await page.getByRole('heading', { name: 'Waiting', level: 1 }).waitFor();
  await write(visitor, 'Is anybody there?');
  await page.locator('.row', { hasText: 'Is anybody there?' }).waitFor();
  // The newcomer is last in line.
  await page.keyboard.press('k');
  await page.locator('.message', { hasText: 'Is anybody there?' }).waitFor();
  await page.keyboard.press('i');
  await page.locator('.head .chip', { hasText: 'Open' }).waitFor();
  await visitor.getByText('You are talking to Mei Lin.').waitFor();
  await page.keyboard.press('r');
  await page.keyboard.type('just a moment');
  await visitor.getByText('Mei Lin is typing').waitFor();
  await page.keyboard.press('Enter');
  await visitor.getByText('just a moment').waitFor();
  await page.locator('.delivery.read').waitFor();
  await write(visitor, 'Thank you');
  await page.locator('.message.in', { hasText: 'Thank you' }).waitFor();
  await visitor.getByText('· Read').last().waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('e');
  await page.locator('.head .chip', { hasText: 'Resolved' }).waitFor();
  await visitor.getByText('This conversation has ended.').waitFor();
});

it('writes notes that only the team sees, and keeps drafts apart', async () => {
  const stage = await open();
  const page = await signIn(stage);
  const hannah = story(stage, 'Hannah Weiss');
  await openStory(page, 'Hannah Weiss');
  await page.keyboard.press('r');
  await page.keyboard.type('a reply begun');
  await page.getByRole('button', { name: 'Note' }).click();
  await page.keyboard.type('ask the warehouse');
  await openStory(page, 'Li Wei');
  expect(await page.getByRole('textbox', { name: 'Reply to Li Wei' }).inputValue()).toBe('');
  await page.reload();
  await page.locator('.row', { hasText: 'a reply begun' }).waitFor();
  await openStory(page, 'Hannah Weiss');
  expect(await page.getByRole('textbox', { name: 'Reply to Hannah Weiss' }).inputValue()).toBe('a reply begun');
  await page.keyboard.press('n');
  expect(await page.getByRole('textbox', { name: 'Internal note' }).inputValue()).toBe('ask the warehouse');
  await page.keyboard.press('Enter');
  await page.locator('.message.note', { hasText: 'ask the warehouse' }).waitFor();
  expect(words(hannah, 'note')).toContain('ask the warehouse');
  expect(words(hannah)).not.toContain('ask the warehouse');
});

it('assigns, snoozes, resolves and reopens', async () => {
  const stage = await open();
  const page = await signIn(stage);
  const hannah = story(stage, 'Hannah Weiss');
  await openStory(page, 'Hannah Weiss');
  await page.keyboard.press('s');
  await page.getByRole('button', { name: /Tomorrow at 9/ }).click();
  await page.locator('.head .chip', { hasText: 'Snoozed' }).waitFor();
  await page.keyboard.press('o');
  await page.locator('.head .chip', { hasText: 'Open' }).waitFor();
  await page.getByRole('button', { name: 'Resolve' }).click();
  await page.locator('.head .chip', { hasText: 'Resolved' }).waitFor();
  expect(await page.locator('.row', { hasText: 'Hannah' }).count()).toBe(0);
  await page.getByRole('button', { name: 'Reopen' }).click();
  await page.locator('.row', { hasText: 'Hannah' }).waitFor();
  await page.keyboard.press('a');
  await page.getByRole('button', { name: /Tom Becker/ }).click();
  await page.getByText('Assigned to Tom Becker by Mei Lin').waitFor();
  expect(hannah.agent?.name).toBe('Tom Becker');
  await page.keyboard.press('a');
  await page.getByRole('button', { name: 'Field service' }).click();
  await until(() => hannah.group?.name === 'Field service' && hannah.state === 'waiting');
  await page.getByRole('button', { name: 'Take it' }).click();
  await until(() => hannah.agent?.name === 'Mei Lin');
});

it('shows to each other who is replying, and rings with a number in the title', async () => {
  const stage = await open();
  const mei = await signIn(stage);
  const tom = await signIn(stage, 'tom');
  await openStory(mei, 'Hannah Weiss');
  await tom.keyboard.press('g');
  await tom.keyboard.press('a');
  await openStory(tom, 'Hannah Weiss');
  await tom.keyboard.press('r');
  await tom.keyboard.type('I would say');
  await mei.locator('.writing .agent', { hasText: 'Tom Becker is replying' }).waitFor();
  await tom.keyboard.press('Enter');
  await mei.locator('.message.out', { hasText: 'I would say' }).waitFor();
  await mei.locator('.writing .agent').waitFor({ state: 'detached' });
  inbound(stage, story(stage, 'Li Wei'), 'Hello?');
  inbound(stage, story(stage, 'Li Wei'), 'Still there?');
  await mei.waitForFunction(() => document.title === '(2) Patchbay');
  await mei.locator('.row.unread', { hasText: 'Still there?' }).waitFor();
  await openStory(mei, 'Li Wei');
  await mei.waitForFunction(() => document.title === 'Patchbay');
});

it('moves those who wait up in line when one is taken by somebody else', async () => {
  const stage = await open();
  const page = await signIn(stage);
  await page.keyboard.press('g');
  await page.keyboard.press('w');
  await page.locator('.row', { hasText: 'Daniel Ortiz' }).getByText('no. 2 in line').waitFor();
  const [, tom] = stage.fake.world.agents;
  stage.fake.world.change(story(stage, '王芳'), { agent: { id: tom!.id, name: tom!.name }, state: 'open', waiting_since: null });
  await page.locator('.row', { hasText: 'Daniel Ortiz' }).getByText('no. 1 in line').waitFor();
  await page.locator('.place', { hasText: 'Waiting' }).getByText('2', { exact: true }).waitFor();
});

it('finds by search and filters, and loads page by page', async () => {
  const stage = await open();
  const { world } = stage.fake;
  for (let n = 0; n < 120; n++) {
    const made = world.newConversation({ id: 'web', kind: 'webchat' }, { id: `b${n}`, name: `Bulk ${n}`, address: `b${n}`, verified: false, locale: null });
    made.updated_at = new Date(Date.now() - n * 1000).toISOString();
  }
  const page = await signIn(stage);
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await page.locator('.row', { hasText: 'Bulk 0' }).waitFor();
  const rows = (): Promise<number> => page.locator('.row').count();
  expect(await rows()).toBe(50);
  await page.getByRole('button', { name: 'Load more' }).click();
  await until(async () => (await rows()) === 100);
  await page.getByRole('button', { name: 'Load more' }).click();
  await until(async () => (await rows()) === world.conversations.size);
  expect(new Set(await page.locator('.row').evaluateAll((all) => all.map((row) => row.getAttribute('data-id')))).size).toBe(world.conversations.size);
  await page.keyboard.press('/');
  await page.keyboard.type('hannah');
  await until(async () => (await rows()) === 1);
  await page.getByRole('searchbox').fill('');
  await page.getByRole('button', { name: 'Filters' }).click();
  await page.getByRole('combobox', { name: 'State' }).selectOption('snoozed');
  await until(async () => (await rows()) === 1);
  await page.locator('.row', { hasText: '陈明' }).waitFor();
});

it('attaches files to a reply', async () => {
  const stage = await open();
  const page = await signIn(stage);
  await openStory(page, 'Hannah Weiss');
  await page.locator('.attach input').setInputFiles({ name: 'plan.txt', mimeType: 'text/plain', buffer: Buffer.from('the plan') });
  await page.getByRole('button', { name: 'Remove plan.txt' }).waitFor();
  await until(async () => (await page.locator('.files progress').count()) === 0);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('link', { name: 'Download plan.txt' }).waitFor();
  expect(story(stage, 'Hannah Weiss').messages.pop()?.content[0]).toMatchObject({ type: 'file', name: 'plan.txt', size: 8 });
});

it('never turns words into markup', async () => {
  const stage = await open();
  const page = await signIn(stage);
  const evil = '<img src=x onerror="window.hurt=1">javascript:alert(1)';
  const hannah = story(stage, 'Hannah Weiss');
  stage.fake.world.addMessage(hannah, { kind: 'contact', id: 'x', name: evil }, [
    { type: 'text', text: evil }, { type: 'image', url: 'javascript:window.hurt=1', name: evil }, { type: 'card', title: evil, url: 'javascript:window.hurt=1' },
  ], { kind: 'message', direction: 'inbound' });
  stage.fake.world.addMessage(hannah, { kind: 'contact', id: 'x', name: 'Mail' }, [{ type: 'html', html: `<p>Dear <b>team</b></p><script>window.hurt=1</script>${evil}` }], { kind: 'message', direction: 'inbound' });
  await openStory(page, 'Hannah Weiss');
  await page.locator('.bubble', { hasText: 'Dear team' }).waitFor();
  expect(await page.locator('.bubble', { hasText: evil }).count()).toBeGreaterThan(0);
  expect(await page.evaluate(() => (window as { hurt?: number }).hurt)).toBeUndefined();
  expect(await page.locator('.log a[href^="javascript"]').count()).toBe(0);
});

describe('accessibility', () => {
  for (const [locale, colorScheme, width] of [['en-GB', 'light', 1440], ['zh-CN', 'dark', 1440], ['en-GB', 'dark', 1024], ['zh-CN', 'light', 1024]] as const) {
    it(`passes axe on every page, ${locale}, ${colorScheme}, ${width}`, async () => {
      const stage = await open();
      const options = { locale, colorScheme, viewport: { width, height: 768 } };
      const out = await stage.page(`${stage.fake.origin}/console/`, options);
      await out.locator('#token').waitFor();
      await expectAccessible(out);
      const page = await signIn(stage, 'mei', options);
      await page.locator('.row').first().waitFor();
      await expectAccessible(page);
      for (const name of ['Hannah Weiss', 'Li Wei']) {
        await openStory(page, name);
        await expectAccessible(page);
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      await page.keyboard.press('n');
      await expectAccessible(page);
      await page.keyboard.press('Escape');
      for (const key of ['a', 's', '?']) {
        await page.keyboard.press(key);
        await page.locator('dialog[open]').waitFor();
        await expectAccessible(page);
        await page.keyboard.press('Escape');
        await page.locator('dialog[open]').waitFor({ state: 'detached' });
      }
      await page.keyboard.press('g');
      await page.keyboard.press('w');
      await page.locator('.row').nth(2).click();
      await page.locator('.fault').waitFor();
      await expectAccessible(page);
      for (const key of ['d', 'c', 't']) {
        await page.keyboard.press('g');
        await page.keyboard.press(key);
        await page.locator('tbody tr').first().waitFor();
        await expectAccessible(page);
      }
      await page.locator('.myself summary').click();
      await expectAccessible(page);
    });
  }
});
